"""What is a policy document, and S3's words for what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.errors import MalformedPolicy
from ironbucket.s3.policy import Names, is_public, parse_bucket, parse_identity, stored

NAMES = Names(frozenset({"000000000000", "ironbucket"}), frozenset({"alice"}))
GOOD: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::box/*",
}


def bucket_policy(*statements: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def refused(text: str) -> str:
    with pytest.raises(MalformedPolicy) as caught:
        parse_bucket(text, "box", NAMES)
    return caught.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Effect": "Maybe"}, "Invalid effect: Maybe"),
        ({"Effect": None}, "Missing required field Effect"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Principal": {"AWS": "arn:aws:iam::000000000000:user/nobody"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:user/alice"}}, "Invalid principal in policy"),
        ({"Principal": {"Service": "logging.s3.amazonaws.com"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": []}}, "Invalid principal in policy"),
        ({"Principal": "alice"}, "Invalid principal in policy"),
        ({"Action": None}, "Missing required field Action"),
        ({"Action": "s3:Fly"}, "Policy has invalid action"),
        ({"Action": "ec2:RunInstances"}, "Policy has invalid action"),
        ({"Action": [1]}, "Policy has invalid action"),
        ({"NotAction": "s3:GetObject"}, "Statement must not contain both Action and NotAction"),
        ({"Action": "s3:ListBucket"}, "Action does not apply to any resource(s) in statement"),
        ({"Resource": None}, "Missing required field Resource"),
        ({"Resource": "*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::box2/*"}, "Policy has invalid resource"),
        ({"Resource": []}, "Policy has invalid resource"),
        ({"Condition": {"StringEquals": {"aws:Wrong": "x"}}}, "Policy has an invalid condition key"),
        ({"Condition": {"Wrong": {"aws:SourceIp": "x"}}}, "Invalid Condition type : Wrong"),
        (
            {"Condition": {"IpAddress": {"aws:SourceIp": "x"}}},
            "Invalid value in the Condition IpAddress : aws:SourceIp",
        ),
        ({"Condition": []}, "Invalid policy syntax."),
        ({"Extra": 1}, "Unknown field Extra"),
    ],
)
def test_statements_that_are_refused(change: dict[str, Any], message: str) -> None:
    statement = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    assert refused(bucket_policy(statement)) == message


def test_not_principal_is_refused() -> None:
    statement = {**GOOD, "NotPrincipal": GOOD["Principal"]}
    del statement["Principal"]
    assert refused(bucket_policy(statement)).startswith("NotPrincipal is not supported")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Policies must be valid JSON and the first byte must be '{'"),
        (" {}", "Policies must be valid JSON and the first byte must be '{'"),
        ("[]", "Policies must be valid JSON and the first byte must be '{'"),
        ("{", "This policy contains invalid Json"),
        ('{"Version": "2012-10-17", "Version": "2012-10-17"}', "This policy contains invalid Json"),
        ('{"a":' + "[" * 19000, "This policy contains invalid Json"),
        ("{}", "Missing required field Statement"),
        ('{"Statement": []}', "Statement is empty!"),
        ('{"Statement": ["x"]}', "Invalid policy syntax."),
        ('{"Version": "2020-01-01", "Statement": []}', "The policy must contain a valid version string"),
        ('{"What": 1}', "Unknown field What"),
        (bucket_policy(GOOD, Id="x" * 20480), "Policy exceeds the maximum allowed document size."),
        (
            bucket_policy({**GOOD, "Sid": "a"}, {**GOOD, "Sid": "a"}),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
    ],
)
def test_documents_that_are_refused(text: str, message: str) -> None:
    assert refused(text) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Allow", "*", "s3:*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Version", "Statement", "Effect", "Principal", "AWS", "Action", "Resource", "Condition", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["Version", "Id", "Statement"]), JSON), JSON)
def test_whatever_is_sent_is_a_policy_or_refused(document: dict[str, Any], inner: Any) -> None:
    for each in (document, {"Statement": [inner]}, {"Statement": {**GOOD, "Principal": inner, "Condition": inner}}):
        try:
            parse_bucket(json.dumps(each), "box", NAMES)
        except MalformedPolicy:
            continue


def test_principals() -> None:
    users = ["arn:aws:iam::000000000000:user/alice", "alice", "arn:aws:iam::ironbucket:user/team/alice"]
    for name in users:
        text = bucket_policy({**GOOD, "Principal": {"AWS": [name]}})
        for policy in (parse_bucket(text, "box", NAMES), stored(text)):
            principal = policy.statements[0].principal
            assert principal is not None
            assert (principal.users, principal.account, principal.everyone) == (frozenset({"alice"}), False, False)
    for name in ("000000000000", "arn:aws:iam::000000000000:root"):
        text = bucket_policy({**GOOD, "Principal": {"AWS": name}})
        for policy in (parse_bucket(text, "box", NAMES), stored(text)):
            principal = policy.statements[0].principal
            assert principal is not None
            assert (principal.users, principal.account, principal.everyone) == (frozenset(), True, False)


def test_a_users_policy_has_no_principal() -> None:
    statement = {name: value for name, value in GOOD.items() if name != "Principal"}
    assert parse_identity({"Statement": [{**statement, "Resource": "*"}]}).statements[0].allows
    with pytest.raises(MalformedPolicy, match="Principal"):
        parse_identity({"Statement": [GOOD]})


@pytest.mark.parametrize(
    ("condition", "public"),
    [
        ({}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}, True),
        ({"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"StringEquals": {"aws:username": "alice"}}, False),
        ({"StringLike": {"aws:username": "a*"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
    ],
)
def test_public(condition: dict[str, Any], public: bool) -> None:
    text = bucket_policy({**GOOD, "Condition": condition} if condition else GOOD)
    assert is_public(stored(text)) is public
    assert not is_public(stored(bucket_policy({**GOOD, "Principal": {"AWS": "alice"}})))
    assert not is_public(stored(bucket_policy({**GOOD, "Effect": "Deny"})))
