"""What the replicator remembers: a cache that may be lost, old, or of other peers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ironbucket.replication.cursor import State, read

ANSWER = {"node": "node-2", "clock": 0, "vector": {"node-1/e": [5, "c"]}}


def test_it_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state" / "file"), "node-1", ("a:1", "b:2"))
    state.peers["a:1"].reached(ANSWER)
    state.peers["a:1"].waiting["node-3/e"] = (4, 1000)
    state.peers["b:2"].failed("away")
    state.save()
    again = State(state.path, "node-1", ("a:1", "b:2"))
    assert again.peers["a:1"].sequence("node-1/e") == 5
    assert tuple(again.peers["a:1"].waiting["node-3/e"]) == (4, 1000)
    assert again.peers["b:2"].last_error == "away"
    assert json.loads(Path(state.path).read_text())["node"] == "node-1"


def test_a_peer_that_is_new_begins_with_nothing_and_one_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    state = State(str(tmp_path / "file"), "node-1", ("a:1", "b:2"))
    for cursor in state.peers.values():
        cursor.reached(ANSWER)
    state.save()
    changed = State(state.path, "node-1", ("b:2", "c:3"))
    assert list(changed.peers) == ["b:2", "c:3"]
    assert changed.peers["b:2"].sequence("node-1/e") == 5
    assert changed.peers["c:3"].sequence("node-1/e") == 0
    changed.save()
    assert set(read(state.path)) == {"b:2", "c:3"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"peers": 5}', '{"peers": [{}]}', '{"peers": [{"address": "a", "x": 1}]}']
)
def test_what_is_no_state_is_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert read(str(path)) == {}
    assert State(str(path), "node-1", ("a:1",)).peers["a:1"].vector == {}
