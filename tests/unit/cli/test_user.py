"""`ironbucket user`: what it prints, and what it leaves in the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ironbucket import cli
from ironbucket.config import Settings
from ironbucket.s3 import users

Run = Callable[..., list[str]]


@pytest.fixture
def path(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "users.yml"
    monkeypatch.setenv("USERS_FILE", str(file))
    return file


def test_the_life_of_a_user(path: Path, run: Run) -> None:
    added = json.loads("".join(run("user", "add", "alice", "--policy", "readonly", "--bucket", "box", "--json")))
    alice = users.read(str(path)).users["alice"]
    assert alice.keys == {added["access_key"]: added["secret_key"]}
    assert alice.policies == ["readonly", "buckets-of-alice"]
    assert path.stat().st_mode & 0o777 == 0o600

    shown = "\n".join(run("user", "list"))
    assert added["access_key"] in shown
    assert added["secret_key"] not in shown
    assert json.loads("".join(run("user", "list", "--json"))) == {
        "alice": {"keys": [added["access_key"]], "policies": ["readonly", "buckets-of-alice"]}
    }

    kept = json.loads("".join(run("user", "rotate", "alice", "--keep", "--json")))
    assert [*users.read(str(path)).users["alice"].keys] == [added["access_key"], kept["access_key"]]
    assert "not shown again" in "\n".join(run("user", "rotate", "alice"))
    assert len(users.read(str(path)).users["alice"].keys) == 1

    run("user", "remove", "alice")
    left = users.read(str(path))
    assert (left.users, left.policies) == ({}, {})


def test_a_key_of_ones_own_and_a_policy_of_a_file(path: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("chosen secret\n")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/*"}
    (tmp_path / "box-reader.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    run("user", "add", "alice", "--key-id", "MYKEY", "--key-secret-file", str(tmp_path / "secret"), "--policy",
        str(tmp_path / "box-reader.json"))  # fmt: skip
    content = users.read(str(path))
    assert content.users["alice"].keys == {"MYKEY": "chosen secret"}
    assert content.users["alice"].policies == ["box-reader"]
    assert users.load(str(path))[0].policies[0].statements[0].allows


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["add", "alice"], "exists"),
        (["add", "a b"], "name"),
        (["add", "bob", "--policy", "nothing"], "no policy"),
        (["add", "bob", "--key-id", "TAKEN"], "belongs to"),
        (["remove", "bob"], "no user"),
        (["rotate", "bob"], "no user"),
    ],
)
def test_mistakes(path: Path, run: Run, arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("user", "add", "alice", "--key-id", "TAKEN")
    before = path.read_text()
    assert cli.main(["user", *arguments]) == 2
    assert word in capsys.readouterr().err
    assert path.read_text() == before


def test_without_a_file_it_says_what_to_set(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["user", "list"]) == 2
    assert "USERS_FILE" in capsys.readouterr().err


def test_check_config_reads_the_file(path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not there" in "\n".join(run("check-config", "--for", "any"))
    run("user", "add", "alice")
    assert "users.yml is" not in "\n".join(run("check-config", "--for", "any"))
    path.chmod(0o644)
    assert "chmod 600" in "\n".join(run("check-config", "--for", "any"))
    path.write_text("users: [")
    assert cli.main(["check-config", "--for", "any"]) == 2
    assert "not valid YAML" in capsys.readouterr().out
