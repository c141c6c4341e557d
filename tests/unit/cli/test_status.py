"""`ironbucket status`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ironbucket import cli
from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.node.recover import running_alone

Run = Callable[..., list[str]]


def test_as_json(node: Node, settings: Settings, run: Run) -> None:
    status = json.loads("\n".join(run("status", "--json")))
    assert status["node"] == "node-1"
    assert status["running"] is False
    assert status["log"]["sequence"] == 4
    assert status["log"]["bytes"] == Path(settings.wal_path).stat().st_size
    assert status["log"]["segments"] == 1
    (head,) = status["index"]["vector"]
    assert (head["node"], head["sequence"]) == ("node-1", 4)
    assert head["chain"] == status["log"]["chain"]
    assert 0 < status["storage"]["bytes_free"] <= status["storage"]["bytes_total"]


def test_for_people(node: Node, settings: Settings, run: Run) -> None:
    with running_alone(settings):
        text = "\n".join(run("status"))
    assert "node-1, running" in text
    assert "sequence 4, written 20" in text
    assert "up to sequence 4" in text
    assert "not running" in "\n".join(run("status"))


def test_a_node_that_was_never_started(settings: Settings, run: Run) -> None:
    text = "\n".join(run("status"))
    assert "log      none" in text
    assert "index    none" in text
    assert not Path(settings.storage_path).exists(), "looking changes nothing"


def test_a_write_that_was_cut_short(node: Node, settings: Settings, run: Run) -> None:
    whole = Path(settings.wal_path).stat().st_size
    with open(settings.wal_path, "ab") as log:
        log.write(b"PUT\tnode-1\t5\t")
    assert f"incomplete from byte {whole} on" in "\n".join(run("status"))


def test_damage_is_an_error(node: Node, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(settings.wal_path)
    path.write_bytes(path.read_bytes().replace(b"photos\ta", b"photos\tx"))
    assert cli.main(["status"]) == 3
    assert "damaged at byte" in capsys.readouterr().err
