"""The file of users: what is read, what is refused, how it is rewritten, and that changes are noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ironbucket.config import Settings
from ironbucket.errors import ConfigurationError
from ironbucket.s3 import users
from ironbucket.s3.policy import Decision, Subject, evaluate
from ironbucket.s3.users_watch import Watch

GOOD = """
users:
  alice:
    keys: {ALICEKEY: 12345678, SECONDKEY: 0x123456789}
    policies: [readonly, mine]
  bob:
policies:
  mine:
    Version: 2012-10-17
    Statement: {Effect: Allow, Action: "s3:*", Resource: "arn:aws:s3:::box/${aws:username}/*"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "users.yml"
    file.write_text(GOOD)
    return file


def test_all_values_are_text(path: Path) -> None:
    alice, bob = users.load(str(path))
    assert alice.keys == {"ALICEKEY": "12345678", "SECONDKEY": "0x123456789"}
    assert (bob.keys, bob.policies) == ({}, ())

    def decide(action: str, key: str) -> Decision:
        found = {"aws:username": ["alice"]}
        return evaluate(alice.policies, Subject("alice"), action, f"arn:aws:s3:::box/{key}", found.get)

    assert decide("s3:GetObject", "x") is Decision.ALLOW
    assert decide("s3:PutObject", "alice/x") is Decision.ALLOW
    assert decide("s3:PutObject", "x") is Decision.NEUTRAL


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("users: {a: {keys: {KEY: short}}}", "at least 8"),
        ("users: {a: {keys: {K: longenough}}}", "3 to 128"),
        ("users: {a: {keys: {KEY: longenough}}, b: {keys: {KEY: longenough}}}", "belongs to"),
        ("users: {a: {policies: [nothing]}}", "no policy 'nothing'"),
        ("users: {a: {policies: readonly}}", "list of names"),
        ("users: {a: {key: {}}}", "'keys' and 'policies'"),
        ("users: {'a b': {}}", "user's name"),
        ("users: {'000000000000': {}}", "user's name"),
        ("users: [a]", "users"),
        ("{a: 1}", "nothing else"),
        ("- a", "nothing else"),
        ("users: {a: {}, a: {}}", "twice"),
        ("policies: {p: {Statement: []}}", "policy 'p': Statement is empty!"),
        ("policies: {p: {Statement: {Effect: Allow, Action: 's3:Fly', Resource: '*'}}}", "s3:Fly"),
        ("users: {a: {keys: {KEY: 'a secret", "not valid YAML"),
    ],
)
def test_what_is_refused(path: Path, text: str, word: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        users.load(str(path))
    assert word in caught.value.message
    assert str(path) in caught.value.message
    assert "longenough" not in caught.value.message
    assert "a secret" not in caught.value.message


def test_a_change_keeps_the_rest_and_is_for_the_owner_alone(path: Path) -> None:
    before = users.read(str(path))
    with users.changing(str(path)) as content:
        del content.users["bob"]
    after = users.read(str(path))
    assert after.users == {"alice": before.users["alice"]}
    assert after.policies == before.policies
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["users.yml"]


def test_a_change_that_is_not_valid_changes_nothing(path: Path) -> None:
    with pytest.raises(ConfigurationError), users.changing(str(path)) as content:
        content.users["alice"].policies.append("nothing")
    assert path.read_text() == GOOD
    with pytest.raises(RuntimeError), users.changing(str(path)):
        raise RuntimeError
    assert path.read_text() == GOOD


def test_the_keys_in_force(path: Path, tmp_path: Path) -> None:
    settings = Settings(access_key="root", secret_key="rootsecret", users_file=str(path))
    credentials = users.credentials(settings)
    found = credentials.lookup("ALICEKEY")
    assert found is not None
    secret, identity = found
    assert (secret, identity.user, identity.unrestricted) == ("12345678", "alice", False)
    root = credentials.lookup("root")
    assert root is not None
    assert root[1].unrestricted
    assert root[1].owner_id == identity.owner_id
    assert credentials.users == {"alice", "bob"}
    absent = Settings(access_key="root", secret_key="rootsecret", users_file=str(tmp_path / "none.yml"))
    assert users.credentials(absent).users == frozenset()
    path.write_text("users: {eve: {keys: {root: longenough}}}")
    with pytest.raises(ConfigurationError, match="somebody else"):
        users.credentials(settings)


def test_a_change_is_noticed_and_a_mistake_changes_nothing(path: Path) -> None:
    seen: list[int] = []

    def changed() -> None:
        seen.append(len(users.load(str(path))))

    watch = Watch(str(path), interval=3600)
    watch.start(changed)
    watch.look()
    assert seen == []
    path.write_text("users: {a: {}}")
    os.utime(path, ns=(1, 1))
    watch.look()
    watch.look()
    assert seen == [1]
    path.write_text("users: [")
    os.utime(path, ns=(2, 2))
    watch.look()
    path.unlink()
    watch.look()
    assert seen == [1]
    watch.close()
