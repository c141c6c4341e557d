"""One lock, one append, one sync; and whatever fails on the way is taken back."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ironbucket import failpoints
from ironbucket.config import Settings
from ironbucket.errors import LogBehindIndex, PreconditionFailed, ServiceUnavailable, StorageFull
from ironbucket.node import Node
from ironbucket.node.body import Conditions
from ironbucket.node.commit import Transaction
from ironbucket.wal.record import DELETE_METADATA, UPDATE_METADATA
from ironbucket.wal.segment import segments
from tests.unit.node.support import check, contents, dies, dump, failing, make_settings, opened, put

#: the points of a write, in order
POINTS = (
    "payload-written",
    "payload-synced",
    "log-append",
    "log-appended",
    "log-synced",
    "payload-settled",
    "index-commit",
)


def log_bytes(node: Node) -> bytes:
    return Path(node.settings.wal_path).read_bytes()


def together(node: Node, *changes: Callable[[Transaction], object]) -> list[object]:
    """Commit changes in one group. Returns what each returned or raised."""
    outcomes: list[object] = [None] * len(changes)
    gate = threading.Event()

    def run(place: int, change: Callable[[Transaction], object]) -> None:
        try:
            outcomes[place] = node.committer.submit(change)
        except Exception as error:  # noqa: BLE001 - an outcome like any other
            outcomes[place] = error

    def first(transaction: Transaction) -> None:
        gate.wait()

    threads = [threading.Thread(target=node.committer.submit, args=(first,))]
    threads[0].start()
    while node.committer._queue or not node.committer._leading:
        pass
    for place, change in enumerate(changes):
        threads.append(threading.Thread(target=run, args=(place, change)))
        threads[-1].start()
        while len(node.committer._queue) <= place:
            pass
    gate.set()
    for thread in threads:
        thread.join()
    return outcomes


def test_a_failing_change_does_not_harm_its_group(node: Node) -> None:
    def good(key: str) -> Callable[[Transaction], object]:
        return lambda transaction: transaction.record(UPDATE_METADATA, "photos", attributes={"kind": key, "value": 1})

    def bad(error: Exception) -> Callable[[Transaction], object]:
        def change(transaction: Transaction) -> None:
            raise error

        return change

    errors = [PreconditionFailed(), OSError(errno.EIO, "broken"), RuntimeError("bug"), OSError(errno.ENOSPC, "full")]
    outcomes = together(node, good("a"), *map(bad, errors), good("b"))
    assert outcomes[1:4] == errors[:3]
    assert isinstance(outcomes[4], StorageFull)
    assert [one.sequence for one in (outcomes[0], outcomes[5])] == [2, 3]  # type: ignore[attr-defined]
    check(node)


def test_a_change_that_fails_after_its_record_takes_the_group_with_it(node: Node) -> None:
    before = log_bytes(node), dump(node)

    def half(transaction: Transaction) -> None:
        transaction.record(UPDATE_METADATA, "photos", attributes={"kind": "a", "value": 1})
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        node.committer.submit(half)
    assert (log_bytes(node), dump(node)) == before
    put(node, "after")
    check(node)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("point", POINTS)
def test_what_fails_leaves_everything_as_it_was(node: Node, point: str, error: int) -> None:
    put(node, "key", b"before")
    before = log_bytes(node), dump(node)
    with failing(point, error), pytest.raises(StorageFull if error == errno.ENOSPC else OSError):
        put(node, "key", b"after")
    assert (log_bytes(node), dump(node)) == before
    assert contents(node) == {"key": b"before"}
    check(node)
    put(node, "key", b"after")
    assert contents(node) == {"key": b"after"}
    check(node)


def test_no_descriptors_left(node: Node) -> None:
    with failing("payload-written", errno.EMFILE), pytest.raises(ServiceUnavailable):
        put(node, "key")
    check(node)


def test_a_committed_write_does_not_fail_for_the_cache_of_its_number(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(node.committer._sequence_fd)
    node.committer._sequence_fd = -1
    Path(node.files.directory, ".sequence").unlink()
    Path(node.files.directory, ".sequence").mkdir()
    put(node, "key")
    assert contents(node) == {"key": b"data"}
    Path(node.files.directory, ".sequence").rmdir()


@pytest.mark.parametrize("point", [*POINTS, "index-committed"])
@pytest.mark.parametrize("alive", [True, False], ids=["another process goes on", "all are started again"])
def test_a_process_killed_at_any_point(settings: Settings, point: str, alive: bool) -> None:
    with opened(settings) as node:
        node.buckets.create("photos", "owner")
        put(node, "key", b"before")
    with opened(settings) as other:

        def write() -> None:
            node = Node.open(settings)
            put(node, "key", b"after")

        assert dies(write, f"{point}:kill")
        logged = point in POINTS[POINTS.index("log-appended") :] or point == "index-committed"
        if alive:
            put(other, "another")
            assert contents(other)["key"] == (b"after" if logged else b"before")
    with opened(settings) as node:
        assert contents(node)["key"] == (b"after" if logged else b"before")
        put(node, "more")
        check(node)


def test_a_torn_append_of_a_dead_process_is_set_aside_by_the_next_writer(node: Node) -> None:
    with open(node.settings.wal_path, "ab") as log:
        log.write(b"PUT\tnode-1\t2\t17591")
    put(node, "key")
    assert [path.read_bytes() for path in Path(node.files.directory).glob("*.torn-*")] == [b"PUT\tnode-1\t2\t17591"]
    check(node)


def test_rotation_under_two_processes(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, wal_segment_size=4096)
    with opened(settings) as one:
        two = Node.open(settings)
        one.buckets.create("photos", "owner")
        for number in range(120):
            put((one, two)[number % 2], f"key{number}")
        assert len(segments(settings.wal_path, one.identity.epoch)) > 3
        assert len(contents(two)) == 120
        check(one)
        two.close()
    with opened(settings) as node:
        check(node)


@pytest.mark.parametrize("point", ["log-closed", "log-rotated"])
@pytest.mark.parametrize("how", ["kill", "full"])
def test_a_rotation_that_is_cut_short(tmp_path: Path, point: str, how: str) -> None:
    settings = make_settings(tmp_path, wal_segment_size=2048)
    with opened(settings) as node, opened_beside(settings) as stale:
        node.buckets.create("photos", "owner")
        count = 0
        while Path(settings.wal_path).stat().st_size < 2048:
            put((node, stale)[count % 2], f"key{count}")
            count += 1
        if how == "kill":

            def write() -> None:
                put(Node.open(settings), "lost")

            assert dies(write, f"{point}:kill")
        else:
            with failing(point, errno.ENOSPC), pytest.raises(StorageFull):
                put(node, "lost")
        put(stale, "from a process that knows nothing of it")
        put(node, "key")
        assert len(contents(stale)) == count + 2
        check(node, lost=how == "kill")  # what a dead process had staged goes at the next start
    with opened(settings) as node:
        check(node)


class opened_beside:  # noqa: N801 - reads like the function it stands beside
    """A second process's view of a node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> Node:
        self._node = Node.open(self._settings)
        return self._node

    def __exit__(self, *_: object) -> None:
        self._node.close()


def test_a_log_that_is_moved_away_while_the_node_runs(node: Node) -> None:
    put(node, "one")
    path = Path(node.settings.wal_path)
    path.rename(f"{path}.old")
    path.touch()
    put(node, "two")
    assert set(contents(node)) == {"one", "two"}
    check(node)


def test_a_log_that_is_removed_while_the_node_runs(node: Node) -> None:
    put(node, "one")
    Path(node.settings.wal_path).unlink()
    with pytest.raises(LogBehindIndex, match="the log is gone"):
        put(node, "two")
    assert contents(node) == {"one": b"data"}


def test_processes_and_threads_commit_side_by_side(settings: Settings) -> None:
    with opened(settings) as node:
        node.buckets.create("photos", "owner")

    def write(name: str) -> None:
        node = Node.open(settings)

        def some(thread: int) -> None:
            for number in range(20):
                put(node, f"{name}/{thread}/{number}", f"{name}{thread}{number}".encode())
                put(node, "shared", f"{name}{thread}{number}".encode())

        threads = [threading.Thread(target=some, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        node.close()

    with opened(settings) as node:
        children = []
        for name in ("a", "b"):
            child = os.fork()
            if child == 0:
                write(name)
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        found = contents(node)
        assert len(found) == 161
        assert all(data == key.replace("/", "").encode() for key, data in found.items() if key != "shared")
        assert found["shared"] == found[max(found, key=lambda key: found[key] == found["shared"] and key != "shared")]
        check(node)
        before = dump(node)
        assert node.index.reader.execute("SELECT sequence FROM streams").fetchone() == (321,)
        assert before["conflicts"] == []


def test_conditions_are_decided_under_the_lock(settings: Settings) -> None:
    with opened(settings) as node:
        node.buckets.create("photos", "owner")
        won: list[str] = []

        def create(name: str) -> None:
            try:
                put(node, "lock", name.encode(), conditions=Conditions(if_none_match="*"))
                won.append(name)
            except PreconditionFailed:
                return

        threads = [threading.Thread(target=create, args=(f"{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [contents(node)["lock"]] == [name.encode() for name in won]
        check(node)


def test_without_a_log_a_write_is_in_the_index(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, wal_enabled=False)
    with opened(settings) as node:
        node.buckets.create("photos", "owner")
        put(node, "key")
    assert not Path(settings.wal_path).exists()
    with opened(settings) as node:
        assert contents(node) == {"key": b"data"}


def test_stamps_follow_each_other(node: Node) -> None:
    def change(transaction: Transaction) -> list[tuple[int, int]]:
        records = [
            transaction.record(DELETE_METADATA, "photos", attributes={"kind": "tags"}, made_ms=made)
            for made in (None, 5, 5, None)
        ]
        return [(one.stamp.ms, one.stamp.logical) for one in records]

    stamps = node.committer.submit(change)
    assert stamps == sorted(set(stamps))


def test_failpoints_are_off() -> None:
    assert not failpoints._enabled
