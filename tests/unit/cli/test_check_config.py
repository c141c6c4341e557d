"""`ironbucket check-config`."""

import json
import os

import pytest

from ironbucket.cli import main
from ironbucket.config import FIELDS

KEYS = {"ACCESS_KEY": "root", "SECRET_KEY": "correct horse"}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of the command, empty."""
    environ: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environ)
    return environ


def test_in_order(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    environ |= KEYS
    assert main(["check-config", "--port", "9001"]) == 0
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in capsys.readouterr().out.splitlines()}
    assert list(rows) == list(FIELDS)
    assert rows["port"] == ["9001", "flag --port"]
    assert rows["access_key"] == ["root", "environment ACCESS_KEY"]
    assert rows["secret_key"] == ["(set)", "environment SECRET_KEY"]


def test_what_is_wrong_is_named_and_the_status_is_2(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    environ |= {"PORT": "x", "WAL_FLUSH_INTERVAL": "5"}
    assert main(["check-config"]) == 2
    out = capsys.readouterr().out
    assert out.count("problem: ") == 3
    assert "problem: SECRET_KEY is not set: make one with" in out
    assert "warning: WAL_FLUSH_INTERVAL=5" in out


def test_as_json(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    environ |= KEYS | {"CLUSTER_NODES": "b:1,[::1]:2"}
    assert main(["check-config", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["valid"] is False
    assert len(document["problems"]) == 2
    assert document["settings"]["cluster_nodes"] == {
        "value": ["b:1", "[::1]:2"],
        "origin": "environment CLUSTER_NODES",
        "reloadable": False,
    }


def test_a_replicator_needs_other_things_than_a_server(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    environ |= {"NODE_ID": "a", "CLUSTER_NODES": "b:1", "CLUSTER_SECRET": "0123456789abcdef"}
    assert main(["check-config", "--for", "replicate"]) == 0
    assert main(["check-config", "--for", "serve"]) == 2
    assert main(["check-config", "--for", "any"]) == 0
    assert "0123456789abcdef" not in capsys.readouterr().out


def test_no_secret_is_shown(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    environ |= {"SECRET_KEY": "hunter2", "CLUSTER_SECRET": "hunter2hunter2!"}  # both too short, and refused
    for arguments in (["check-config"], ["check-config", "--json"]):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert "hunter" not in captured.out + captured.err
