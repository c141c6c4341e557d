"""Decisions, against a model written from the documentation: deny, else allow, else nothing."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ironbucket.s3.policy import Decision, Names, Subject, evaluate, parse_bucket, parse_identity

NAMES = Names(frozenset({"000000000000"}), frozenset({"alice", "bob"}))
ACTIONS = ("s3:GetObject", "s3:GetObjectAcl", "s3:PutObject", "s3:DeleteObject")
KEYS = ("a", "a/b", "b")
SUBJECTS = (Subject("alice"), Subject("bob"), Subject(anonymous=True))

statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.sampled_from(["*", {"AWS": "*"}, {"AWS": ["alice"]}, {"AWS": "000000000000"}]),
        "Resource": st.lists(
            st.sampled_from(["arn:aws:s3:::box/*", "arn:aws:s3:::box/a*", "arn:aws:s3:::box/b"]), min_size=1, max_size=2
        ),
    },
    optional={
        "Condition": st.sampled_from(
            [
                {"StringEquals": {"aws:UserAgent": ["x", "y"]}},
                {"StringNotEquals": {"aws:UserAgent": "x"}},
                {"Null": {"aws:UserAgent": "true"}},
                {"StringEquals": {"aws:UserAgent": "x"}, "Bool": {"aws:SecureTransport": "true"}},
            ]
        )
    },
).flatmap(
    lambda one: st.tuples(
        st.sampled_from(["Action", "NotAction"]),
        st.lists(st.sampled_from(["s3:*", "s3:Get*", "s3:PutObject", "S3:deleteobject"]), min_size=1, max_size=2),
    ).map(lambda pair: {**one, pair[0]: pair[1]})
)


def says(statement: dict[str, Any], subject: Subject, action: str, key: str, agent: str | None, tls: bool) -> bool:
    """The model: does a statement apply?"""
    principal = statement["Principal"]
    who = "*" if principal == "*" else principal["AWS"]
    if who != "*":
        if subject.anonymous:
            return False
        if who == "000000000000" and statement["Effect"] == "Allow":
            return False  # the account hands on what it is allowed by policies of its users
        if who == ["alice"] and subject.user != "alice":
            return False
    listed = statement.get("Action") or statement["NotAction"]
    if any(fnmatchcase(action.lower(), one.lower()) for one in listed) != ("Action" in statement):
        return False
    if not any(fnmatchcase(f"arn:aws:s3:::box/{key}", one) for one in statement["Resource"]):
        return False
    for operator, keys in statement.get("Condition", {}).items():
        for name, value in keys.items():
            values = value if isinstance(value, list) else [value]
            found = agent if name == "aws:UserAgent" else str(tls).lower()
            if operator == "Null" and found is not None:
                return False
            if operator in ("StringEquals", "Bool") and found not in values:
                return False
            if operator == "StringNotEquals" and found in values:
                return False
    return True


@given(
    st.lists(statements, min_size=1, max_size=4),
    st.sampled_from(SUBJECTS),
    st.sampled_from(ACTIONS),
    st.sampled_from(KEYS),
    st.sampled_from([None, "x", "y", "z"]),
    st.booleans(),
)
def test_it_decides_as_the_model_does(
    given_statements: list[dict[str, Any]], subject: Subject, action: str, key: str, agent: str | None, tls: bool
) -> None:
    import json

    policy = parse_bucket(json.dumps({"Version": "2012-10-17", "Statement": given_statements}), "box", NAMES)
    present = {"aws:securetransport": [str(tls).lower()]} | ({"aws:useragent": [agent]} if agent else {})
    effects = {one["Effect"] for one in given_statements if says(one, subject, action, key, agent, tls)}
    expected = Decision.DENY if "Deny" in effects else Decision.ALLOW if "Allow" in effects else Decision.NEUTRAL
    found = evaluate([policy], subject, action, f"arn:aws:s3:::box/{key}", present.get)
    assert found is expected


def test_a_deny_in_one_policy_outweighs_an_allow_in_another() -> None:
    allow = parse_identity({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})
    deny = parse_identity(
        {"Statement": {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "arn:aws:s3:::box/keep/*"}}
    )
    for order in ([allow, deny], [deny, allow]):
        for key, expected in (("keep/x", Decision.DENY), ("other", Decision.ALLOW)):
            resource = f"arn:aws:s3:::box/{key}"
            assert evaluate(order, Subject("alice"), "s3:DeleteObject", resource, lambda _: None) is expected


def test_a_home_for_each_user() -> None:
    policy = parse_identity(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::home/${aws:username}/*"},
                {
                    "Effect": "Allow",
                    "Action": "s3:ListBucket",
                    "Resource": "arn:aws:s3:::home",
                    "Condition": {"StringLike": {"s3:prefix": "${aws:username}/*"}},
                },
            ],
        }
    )
    for user in ("alice", "*"):
        values = {"aws:username": [user], "s3:prefix": ["alice/photos"]}

        def decide(action: str, resource: str, values: dict[str, list[str]] = values, user: str = user) -> Decision:
            return evaluate([policy], Subject(user), action, resource, values.get)

        expected = Decision.ALLOW if user == "alice" else Decision.NEUTRAL
        assert decide("s3:GetObject", "arn:aws:s3:::home/alice/x") is expected
        assert decide("s3:ListBucket", "arn:aws:s3:::home") is expected
