"""Taking over a state comes to the same as having had the records."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ironbucket.node import Node, snapshot
from ironbucket.node.apply import Applied, Applier
from ironbucket.node.join import Joiner, OutOfStep, Range
from ironbucket.node.snapshot import set_position
from ironbucket.store import buckets
from ironbucket.store.model import Kind
from ironbucket.store.scan import states
from ironbucket.wal.reader import read_stream
from tests.unit.node.opened import OWNER, everything, opened, put, settings_in


def replay(node: Node, other: Node, upto: int | None = None) -> None:
    """Have `node` apply the log of `other`, as replication would; payloads are of no interest here."""
    applier = Applier(node.index, node.payloads)
    path, epoch = other.settings.wal_path, other.identity.epoch

    def change(connection: object) -> None:
        for line in read_stream(path, epoch, 0):
            if upto is not None and line.record.sequence > upto:
                break
            applier.apply(connection, line.record, Applied())  # type: ignore[arg-type]
            stream = f"{other.identity.node}/{epoch}"
            set_position(connection, stream, line.record.sequence, line.chain)  # type: ignore[arg-type]

    node.committer.undisturbed(change)


def joiner(node: Node) -> Joiner:
    return Joiner(node.index, node.payloads, node.committer, node.files)


def ranges(source: Node, session: str, size: int) -> Iterator[Range]:
    """The state of a node in ranges of `size` keys."""
    connection = source.index.reader
    header = snapshot.header_of(connection, source.identity.node)
    vector = {stream: position[0] for stream, position in header.vector.items()}
    for row in list(buckets.scan(connection)):
        found = list(states(source.index, connection, row.number, row.name))
        after = b""
        for begin in range(0, len(found) or 1, size):
            page = found[begin : begin + size]
            upto = page[-1][0] if begin + size < len(found) else None
            yield Range(session, row, after, upto, [one for _, state in page for one in state], vector, header.clock)
            after = upto or b""


def bring(source: Node, target: Node, *, request: str = "", size: int = 3) -> None:
    join = joiner(target)
    header = snapshot.header_of(source.index.reader, source.identity.node)
    session = join.begin(source.identity.node, request, header.vector, restart=True)
    for part in ranges(source, session.id, size):
        join.take(part)
    join.finish(session.id, [row.name for row in buckets.scan(source.index.reader)])


def act(node: Node, rng: random.Random, count: int) -> None:
    for _ in range(count):
        bucket, key = rng.choice(["plain", "versions"]), f"k{rng.randrange(8)}"
        versions = node.objects.list_versions(bucket, prefix=key).entries
        what = rng.randrange(6)
        if what < 3 or not versions:
            put(node, bucket, key, bytes(rng.randrange(5)))
        elif what == 3:
            node.objects.delete(bucket, key)
        elif what == 4:
            node.objects.delete(bucket, key, rng.choice(versions).version_id)  # type: ignore[union-attr]
        else:
            chosen = rng.choice(versions)
            if chosen.kind is Kind.OBJECT:  # type: ignore[union-attr]
                node.objects.update(bucket, key, chosen.version_id, "tags", {"n": str(rng.random())})  # type: ignore[union-attr]


@pytest.fixture
def three(tmp_path: Path) -> Iterator[tuple[Node, Node, Node]]:
    """a, b, and one that is told everything record by record."""
    more = {"cluster_nodes": ("127.0.0.1:1",), "cluster_secret": "x" * 16}
    folders = [settings_in(tmp_path / name, node_id=name, **more) for name in ("a", "b", "c")]
    with opened(folders[0]) as a, opened(folders[1]) as b, opened(folders[2]) as c:
        for name in ("plain", "versions"):
            a.buckets.create(name, OWNER)
        a.buckets.configure("versions", "versioning", "Enabled")
        yield a, b, c


@pytest.mark.parametrize("seed", range(6))
def test_it_comes_to_the_same_as_the_records(three: tuple[Node, Node, Node], seed: int) -> None:
    a, b, c = three
    rng = random.Random(seed)
    act(a, rng, 25)
    replay(b, a)  # so far b has kept up
    act(b, rng, 10)
    act(a, rng, 20)
    bring(a, b)
    replay(c, a)
    replay(c, b)
    assert everything(b) == everything(c)
    assert everything(a) != everything(c)
    bring(a, b, request="asked for")
    assert everything(b) == everything(c)


@pytest.mark.parametrize("seed", range(3))
def test_forgotten_tombstones_raise_nothing_from_the_dead(three: tuple[Node, Node, Node], seed: int) -> None:
    a, b, c = three
    rng = random.Random(seed)
    act(a, rng, 30)
    replay(b, a)
    act(a, rng, 30)
    replay(c, a)
    for node in (a, c):
        node.index.writer.execute("DELETE FROM history WHERE kind = 'tombstone'")
    bring(a, b)
    assert everything(b) == everything(c)


def test_a_removed_entry_is_not_brought_back_by_an_older_state(three: tuple[Node, Node, Node]) -> None:
    a, b, _ = three
    put(a, "plain", "k")
    replay(b, a)
    parts = list(ranges(a, "", 3))
    b.objects.delete("plain", "k")
    b.index.writer.execute("DELETE FROM history WHERE kind = 'tombstone'")
    join = joiner(b)
    session = join.begin("a", "", snapshot.header_of(a.index.reader, "a").vector)
    for part in parts:
        join.take(replace(part, session=session.id))
    assert b.objects.list("plain").entries == []


def test_a_range_that_is_not_the_next_is_refused(three: tuple[Node, Node, Node]) -> None:
    a, b, _ = three
    for number in range(5):
        put(a, "plain", f"k{number}")
    join = joiner(b)
    session = join.begin("a", "", {})
    first, second, *_ = ranges(a, session.id, 2)
    with pytest.raises(OutOfStep):
        join.take(second)
    assert join.take(first).key is not None
    with pytest.raises(OutOfStep):
        join.take(first)
    assert join.begin("a", "", {}).count == 2, "it goes on where it was"
