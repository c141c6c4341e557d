"""What is removed and forgotten, and what is kept for peers."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ironbucket.clock import wall_ms
from ironbucket.node import Node, retention
from ironbucket.node.peers import Agreement, Peer, Reckoning
from ironbucket.node.recover import recover
from ironbucket.node.retention import Closed, Policy
from ironbucket.store.model import Kind
from ironbucket.wal import snapshot as snapshot_file
from ironbucket.wal.segment import segments
from tests.unit.node.opened import OWNER, everything, opened, put, settings_in

CLUSTER = {"cluster_nodes": ("127.0.0.1:1",), "cluster_secret": "x" * 16, "batch_interval": 100}
AT_ONCE = {"wal_segment_age": 0.0, "wal_retention": 0.0, "tombstone_grace": 0.0, "history_window": 0.0}


def peer(node: Node, **vector: int) -> Peer:
    stream = f"{node.identity.node}/{node.identity.epoch}"
    return Peer(
        "127.0.0.1:1", "node-2", {stream: vector.get("own", 0), "node-2/e": vector.get("its", 0)}, wall_ms() + 60_000
    )


def rounds(node: Node, peers: Sequence[Peer], count: int = 6) -> None:
    """As the thread would run them, without its pauses."""
    node.history._peers = lambda: peers
    for _ in range(count):
        node.history._collected = float("-inf")
        node.history.round()


def sequence(node: Node) -> int:
    return int(node.position().rpartition("/")[2])


def test_a_node_alone_keeps_a_snapshot_and_what_follows(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, **AT_ONCE)
    with opened(settings) as node:
        node.buckets.create("b", OWNER)
        for number in range(5):
            put(node, "b", f"k{number}")
            time.sleep(0.002)
            rounds(node, (), 1)
        found = segments(settings.wal_path, node.identity.epoch)
        assert [one.path for one in found] == [settings.wal_path]
        assert len(snapshot_file.stored(node.files.directory)) == 1
        before = everything(node)
    recover(settings)
    with opened(settings) as node:
        assert everything(node) == before


def test_segments_stay_until_a_peer_has_them(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, **AT_ONCE, **CLUSTER)
    with opened(settings) as node:
        node.buckets.create("b", OWNER)
        put(node, "b", "k")
        time.sleep(0.002)
        rounds(node, [peer(node, own=1)])
        assert len(segments(settings.wal_path, node.identity.epoch)) == 2
        rounds(node, [peer(node, own=2)])
        assert len(segments(settings.wal_path, node.identity.epoch)) == 1


def test_a_peer_that_is_away_is_dropped_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_in(tmp_path, **AT_ONCE, **CLUSTER)
    with opened(settings) as node, caplog.at_level(logging.WARNING):
        node.buckets.create("b", OWNER)
        time.sleep(0.002)
        away = Peer("127.0.0.1:1", "node-2", {}, wall_ms() - 10_000)
        rounds(node, [away])
        assert len(segments(settings.wal_path, node.identity.epoch)) == 1
        assert len([record for record in caplog.records if "away for longer" in record.message]) == 1
        rounds(node, [peer(node, own=1)])
        rounds(node, [away])
        assert len([record for record in caplog.records if "away for longer" in record.message]) == 2


def closed(stream: str, last: int, *, size: int = 10, age: float = 100.0) -> Closed:
    return Closed(f"/wal/{stream}-{last}", stream, last, size, int(wall_ms() - age * 1000))


def test_a_snapshot_has_to_cover_what_goes() -> None:
    plan = retention.plan([closed("a/1", 10), closed("a/1", 20)], Policy(50, 1000), {"a/1": 15}, ())
    assert [one.last for one in plan.remove] == [10]
    assert [one.last for one in plan.uncovered] == [20]


def test_what_is_too_much_goes_whoever_lacks_it() -> None:
    absent = Peer("h:1", "b", {"a/1": 5}, wall_ms())
    all_of_it = [closed("a/1", 10, age=3), closed("a/1", 20, age=2), closed("a/1", 30, age=1)]
    plan = retention.plan(all_of_it, Policy(50, 20), {"a/1": 30}, [absent])
    assert [one.last for one in plan.remove] == [10]
    assert plan.behind == [absent]


def test_a_log_is_only_shortened_from_its_beginning() -> None:
    young_first = [closed("a/1", 20, age=100), closed("a/1", 10, age=1)]
    assert [one.last for one in retention.plan(young_first, Policy(50, 1000), {"a/1": 30}, ()).remove] == [20]
    kept = retention.plan([closed("a/1", 10, age=1), closed("a/1", 20)], Policy(50, 1000), {"a/1": 30}, ())
    assert kept.remove == []


def test_a_peer_that_was_never_reached_is_waited_for() -> None:
    reckoning = Reckoning(patience=60)
    never = Peer("h:1")
    assert reckoning.counted([never]) == ([never], [])
    reckoning._first_seen["h:1"] -= 61_000
    assert reckoning.counted([never]) == ([], [never])


def test_a_moment_is_settled_when_a_peer_has_it_and_its_own_records_are_here() -> None:
    agreement = Agreement()

    def seen(own: int, its: int) -> Peer:
        return Peer("h:1", "b", {"a/1": own, "b/1": its}, wall_ms() + 60_000)

    assert agreement.observe({"a/1": 5, "b/1": 1}, [seen(4, 9)]).ms == 0  # the peer lacks a/1 5
    assert agreement.observe({"a/1": 6, "b/1": 1}, [seen(5, 7)]).ms == 0  # it has it, and had made 7 by then
    assert agreement.observe({"a/1": 6, "b/1": 6}, [seen(6, 9)]).ms == 0
    settled = agreement.observe({"a/1": 6, "b/1": 7}, [seen(6, 9)])
    assert settled.covers("a/1", 5)
    assert not settled.covers("a/1", 6)
    assert not settled.covers("b/1", 2)


def test_a_report_from_before_the_moment_settles_nothing() -> None:
    agreement = Agreement()
    old = Peer("h:1", "b", {"a/1": 5}, wall_ms() - 1000)
    assert all(agreement.observe({"a/1": 5}, [old]).ms == 0 for _ in range(3))


def tombstones(node: Node) -> int:
    rows = node.index.reader.execute("SELECT count(*) FROM history WHERE kind = ?", (Kind.TOMBSTONE.value,))
    return int(rows.fetchone()[0])


def test_tombstones_go_when_every_peer_has_them(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, **AT_ONCE, **CLUSTER)
    with opened(settings) as node:
        node.buckets.create("b", OWNER)
        put(node, "b", "k")
        node.objects.delete("b", "k")
        time.sleep(0.002)
        rounds(node, [peer(node, own=2)])
        assert tombstones(node) == 1
        rounds(node, [peer(node, own=3)])
        assert tombstones(node) == 0


def test_tombstones_stay_for_the_grace_period(tmp_path: Path) -> None:
    with opened(settings_in(tmp_path, **(AT_ONCE | {"tombstone_grace": 60.0}))) as node:
        node.buckets.create("b", OWNER)
        put(node, "b", "k")
        node.objects.delete("b", "k")
        rounds(node, ())
        assert tombstones(node) == 1


def test_a_deleted_bucket_is_forgotten_and_can_be_made_again(tmp_path: Path) -> None:
    with opened(settings_in(tmp_path, **AT_ONCE)) as node:
        for name in ("gone", "kept"):
            node.buckets.create(name, OWNER)
            put(node, name, "k")
        node.objects.delete("gone", "k")
        node.buckets.delete("gone")
        time.sleep(0.002)
        rounds(node, ())
        names = [row[0] for row in node.index.reader.execute("SELECT name FROM buckets")]
        assert names == ["kept"]
        node.buckets.create("gone", OWNER)
        put(node, "gone", "k")
        assert node.objects.get("gone", "k").size == 1


def test_payloads_stay_until_a_peer_has_their_record(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, **(AT_ONCE | {"wal_retention": 60.0}), **CLUSTER)
    with opened(settings) as node:
        node.buckets.create("b", OWNER)
        put(node, "b", "k", b"old")
        put(node, "b", "k", b"new")
        time.sleep(0.002)
        rounds(node, [peer(node, own=1)])
        assert node.housekeeping.collect() == 0
        rounds(node, [peer(node, own=3)])
        assert node.housekeeping.collect() == 1
        assert sequence(node) == 3
