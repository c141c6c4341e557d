"""What waits for a peer is counted from the logs, whatever the index and STATE_PATH say."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Expected
from ironbucket.node.objects import bytes_body
from ironbucket.replication.backlog import Backlog, backlog, report, stale_after_ms
from ironbucket.replication.cursor import Cursor, State
from ironbucket.replication.run import Local

ADDRESS = "127.0.0.1:9"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        storage_path=str(tmp_path / "s3"),
        wal_path=str(tmp_path / "wal" / "wal.log"),
        state_path=str(tmp_path / "state" / "replicator.state"),
        cluster_nodes=(ADDRESS,),
        cluster_secret="0123456789abcdef",
    )


@pytest.fixture
def node(settings: Settings) -> Iterator[Node]:
    """A bucket and ten objects of 100 bytes."""
    Node.prepare(settings)
    node = Node.open(settings)
    node.buckets.create("photos", "0" * 64)
    for i in range(10):
        body = bytes_body(b"x" * 100)
        node.objects.put("photos", f"k{i}", body, Expected(), Attributes(owner="0" * 64))
    yield node
    node.close()


@pytest.fixture
def local(node: Node, settings: Settings) -> Iterator[Local]:
    local = Local.open(settings)
    yield local
    local.close()


def at(local: Local, sequence: int) -> Cursor:
    return Cursor(ADDRESS, vector={f"node-1/{local.epoch}": [sequence, ""]})


def test_all_of_it_and_some_of_it_and_none_of_it(local: Local, settings: Settings) -> None:
    lines = Path(settings.wal_path).read_bytes().splitlines(keepends=True)[1:]
    whole = backlog(local, Cursor(ADDRESS))
    assert (whole.entries, whole.bytes, whole.exact) == (11, sum(map(len, lines)) + 1000, True)
    assert whole.since_ms == int(lines[0].split(b"\t")[3])
    rest = backlog(local, at(local, 9))
    assert (rest.entries, rest.bytes) == (2, sum(map(len, lines[9:])) + 200)
    assert backlog(local, at(local, 11)) == Backlog()


def test_beyond_a_bound_bytes_are_estimated_and_entries_are_not(local: Local) -> None:
    whole, some = backlog(local, Cursor(ADDRESS)), backlog(local, Cursor(ADDRESS), most_lines=6)
    assert (some.entries, some.since_ms, some.exact) == (whole.entries, whole.since_ms, False)
    assert 0.8 < some.bytes / whole.bytes < 1.2


def test_what_the_index_has_not_applied_yet_counts(node: Node, local: Local) -> None:
    node.index.writer.execute("UPDATE streams SET sequence = 5")
    assert backlog(local, Cursor(ADDRESS)).entries == 11


def test_what_the_logs_no_longer_hold_counts(node: Node, local: Local, settings: Settings) -> None:
    os.unlink(settings.wal_path)
    assert backlog(local, at(local, 4)) == Backlog(entries=7, exact=False)


def test_a_peer_that_is_well_has_no_problems(local: Local, settings: Settings) -> None:
    state = State(settings.state_path, "node-1", settings.cluster_nodes)
    cursor = state.peers[ADDRESS]
    (never,) = report(settings)
    assert never["problems"] == ["was never reached"]
    assert never["backlog"]["seconds"] >= 1
    cursor.reached({"node": "node-2", "vector": {f"node-1/{local.epoch}": [11, ""]}})
    state.save()
    (well,) = report(settings)
    assert (well["problems"], well["node"], well["backlog"]["seconds"]) == ([], "node-2", 0)


def test_each_problem_is_named(local: Local, settings: Settings) -> None:
    state = State(settings.state_path, "node-1", settings.cluster_nodes)
    cursor = state.peers[ADDRESS]
    cursor.reached({"node": "node-2", "vector": {f"node-1/{local.epoch}": [11, ""]}})
    cursor.skew_ms = -90_000
    cursor.last_contact_ms -= stale_after_ms(settings) + 1000
    cursor.failed("no route")
    state.save()
    assert [problem.partition(" ")[0] for problem in report(settings)[0]["problems"]] == ["was", "no", "its"]
    cursor.refused["node-1/x/3"] = "its payload is not what the record says"
    state.save()
    assert "node-1/x/3 refused: its payload is not what the record says" in report(settings)[0]["problems"]
