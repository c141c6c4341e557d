"""Reading logs for shipping, while they are rotated, compressed and shortened."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ironbucket.errors import LogDamaged
from ironbucket.node import Node, heads
from ironbucket.node.heads import LogFiles
from ironbucket.node.rotation import Limits, rotate
from ironbucket.replication.feed import Feed, SnapshotNeeded
from ironbucket.wal.archive import compress_closed
from ironbucket.wal.segment import segments
from tests.unit.node.opened import OWNER, opened, put, settings_in


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Records 1 to 21 in segments of about three."""
    with opened(settings_in(tmp_path, wal_segment_size=700)) as node:
        node.buckets.create("b", OWNER)
        for number in range(20):
            put(node, "b", f"k{number}")
        yield node


def read_all(node: Node, feed: Feed, most: int = 4, after: int = 0) -> list[int]:
    found: list[int] = []
    chain = ""
    while True:
        head = heads.load(node.index.reader, node.identity.node, node.identity.epoch)
        header, lines = feed.take(head, after, most)
        assert not chain or header.chain == chain
        if not lines:
            return found
        found += [line.record.sequence for line in lines]
        after, chain = found[-1], lines[-1].chain
        if len(found) == 8:
            compress_closed(node.settings.wal_path, node.identity.epoch)
            rotate(node.files, node.committer, Limits(1, 0.0))
            put(node, "b", "more")


def test_a_log_that_is_rotated_and_compressed_meanwhile_is_read_whole(node: Node) -> None:
    feed = Feed(LogFiles(node.settings.wal_path, "node-1", node.identity.epoch))
    assert read_all(node, feed) == list(range(1, 23))
    assert read_all(node, feed, most=5, after=20) == [21, 22]


def test_what_is_not_committed_is_not_read(node: Node) -> None:
    head = heads.load(node.index.reader, node.identity.node, node.identity.epoch)
    feed = Feed(LogFiles(node.settings.wal_path, "node-1", node.identity.epoch))
    earlier = head.after(19, "", 0)
    assert [line.record.sequence for line in feed.take(earlier, 17, 9)[1]] == [18, 19]
    assert [line.record.sequence for line in feed.take(head, 19, 9)[1]] == [20, 21]


def test_what_is_no_longer_there_needs_a_snapshot(node: Node) -> None:
    head = heads.load(node.index.reader, node.identity.node, node.identity.epoch)
    Path(segments(node.settings.wal_path, node.identity.epoch)[0].path).unlink()
    feed = Feed(LogFiles(node.settings.wal_path, "node-1", node.identity.epoch))
    with pytest.raises(SnapshotNeeded):
        feed.take(head, 0, 4)
    first = segments(node.settings.wal_path, node.identity.epoch)[0].first
    assert feed.take(head, first - 1, 4)[1][0].record.sequence == first


def test_what_lies_before_damage_is_delivered_first(node: Node) -> None:
    files = segments(node.settings.wal_path, node.identity.epoch)
    path = Path(files[2].path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"PUT", b"POT")
    path.write_bytes(b"".join(lines))
    damaged = files[2].first + 1
    head = heads.load(node.index.reader, node.identity.node, node.identity.epoch)
    feed = Feed(LogFiles(node.settings.wal_path, "node-1", node.identity.epoch))
    assert feed.take(head, 0, 100)[1][-1].record.sequence == damaged - 1
    with pytest.raises(LogDamaged, match="wal repair"):
        feed.take(head, damaged - 1, 100)
