"""The commit: one lock, one append, one sync for all the writes that wait for it.

    decide     each waiting change looks at the index, which holds every earlier record, and makes its records
    append     their lines go to the log in one write
    sync       the log is made durable
    settle     staged payloads get their names
    commit     the index's transaction ends: only now can a reader see any of it

Whatever fails on the way is taken back: the index rolls back, the log is cut to where it was, and every waiting
client gets the error. A process that dies on the way leaves lines that the index does not know; the next to take
the lock applies them first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from ironbucket import failpoints, fsutil
from ironbucket.clock import following, wall_ms
from ironbucket.errors import IronBucketError
from ironbucket.node import heads
from ironbucket.node.apply import Applied, Applier, advance_clock, stream_number
from ironbucket.node.heads import Head, LogFiles
from ironbucket.store import keys
from ironbucket.store.buckets import BucketRow
from ironbucket.store.index import Index, index_errors
from ironbucket.store.keys import State
from ironbucket.store.payloads import Payloads
from ironbucket.wal.lock import LogLock
from ironbucket.wal.record import Record, encode

Result = TypeVar("Result")


@dataclass(slots=True)
class _Pending:
    """Lines of one stream that are to be appended."""

    was: Head
    now: Head
    lines: list[bytes] = field(default_factory=list)


class Transaction:
    """What a change may look at and do, under the log's lock."""

    def __init__(self, connection: sqlite3.Connection, applier: Applier, own: Head) -> None:
        self.connection = connection
        self._applier = applier
        self._own = own
        self._ms, self._logical = connection.execute("SELECT ms, logical FROM clock").fetchone()
        self.applied = Applied()
        self.pending: dict[int, _Pending] = {}
        self.staged: set[str] = set()  # buckets with staged payloads that the records mention
        self.uploads: set[str] = set()  # multipart uploads that the records complete
        self.records = 0

    def record(
        self,
        operation: str,
        bucket: str,
        key: str | None = None,
        size: int | None = None,
        etag: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        made_ms: int | None = None,
    ) -> Record:
        """Number, stamp and apply a change of this node. It becomes durable, and visible, with the whole group.

        `made_ms` is when it was made, if not now; the stamp is never behind an earlier one all the same.
        """
        self._ms, self._logical = following(self._ms, self._logical, wall_ms() if made_ms is None else made_ms)
        attributes = dict(attributes or {})
        if self._logical:
            attributes["logical"] = self._logical
        own = self.own
        record = Record(operation, own.node, own.sequence + 1, self._ms, bucket, key, size, etag, attributes, own.epoch)
        line, chain = encode(record, own.chain)
        self.append(own, record, line, chain)
        if size is not None:
            self.staged.add(bucket)
        if "upload" in attributes:
            self.uploads.add(str(attributes["upload"]))
        return record

    def witness(self, clock: tuple[int, int]) -> None:
        """The clock (milliseconds, counter) is behind no stamp that this node has seen, in whatever form."""
        advance_clock(self.connection, clock)
        self._ms, self._logical = max((self._ms, self._logical), clock)

    def keep(self, row: BucketRow, key: str, state: State) -> None:
        """Make `state` what is known of a key, without a record: what stands for it is elsewhere."""
        self.records += 1  # a change that fails after this is no affair of its own
        old = self.state(row, key)
        keys.save(self.connection, row.number, key, old, state, partial(stream_number, self.connection))
        self.applied.states[row.number, key] = state

    @property
    def own(self) -> Head:
        """The head of this node's log as this transaction leaves it."""
        return self.head(self._own)

    def head(self, head: Head) -> Head:
        """The head of a stream as this transaction leaves it."""
        pending = self.pending.get(head.number)
        return pending.now if pending else head

    def append(self, head: Head, record: Record, line: bytes, chain: str) -> Head:
        """Take over a line that continues `head`, and apply it."""
        self.records += 1
        pending = self.pending.get(head.number) or self.pending.setdefault(head.number, _Pending(head, head))
        self._applier.apply(self.connection, record, self.applied)
        pending.lines.append(line)
        pending.now = head.after(record.sequence, chain, head.offset + len(line))
        stamp = record.stamp
        if (stamp.ms, stamp.logical) > (self._ms, self._logical):
            self._ms, self._logical = stamp.ms, stamp.logical
        return pending.now

    def state(self, row: BucketRow, key: str) -> State:
        """What is known of a key, the records that this transaction has made included."""
        return self._applier.state(self.connection, self.applied, row, key)

    def save_heads(self) -> None:
        """Note how far each log is applied now: in the same commit as what was applied."""
        for pending in self.pending.values():
            heads.save(self.connection, pending.now)
        if self.pending:
            advance_clock(self.connection, self.applied.clock)


class _Waiter(Generic[Result]):
    """A change that waits for its group, and the thread behind it."""

    __slots__ = ("change", "error", "leads", "result", "sequence", "wake")

    def __init__(self, change: Callable[[Transaction], Result]) -> None:
        self.change = change
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.sequence = 0  # of the last record that the change made
        self.wake = threading.Lock()
        self.wake.acquire()


class Committer:
    """The only way to change a node. One per process; the log's lock keeps the processes apart."""

    def __init__(
        self,
        index: Index,
        payloads: Payloads,
        files: LogFiles,
        *,
        lock_path: str,
        logged: bool = True,
        sync: bool = True,
        segment_size: int = 64 << 20,
    ) -> None:
        """`logged` False: no log is kept, the index is durable itself. `sync` False: something else syncs the log."""
        self.payloads = payloads
        self._index, self._files = index, files
        self._applier = Applier(index, payloads)
        self._lock = LogLock(lock_path)
        self._logged, self._sync, self._segment_size = logged, sync, segment_size
        self._guard = threading.Lock()
        self._queue: list[_Waiter[Any]] = []
        self._leading = False
        self._sequence_fd = -1
        #: waits until enough peers hold this node's record of that sequence; set by whoever wires a cluster
        self.acknowledge: Callable[[int], None] | None = None

    def submit(self, change: Callable[[Transaction], Result]) -> Result:
        """Run `change` under the lock, with every earlier record visible to it; return when its records are durable.

        `change` raises before it makes any record, or not at all: then the others of its group do not notice. Raises
        what it raises, StorageFull, LogDamaged, LogBehindIndex.
        """
        waiter = _Waiter(change)
        with self._guard:
            self._queue.append(waiter)
            leads, self._leading = not self._leading, True
        if not leads:
            waiter.wake.acquire()
            leads = waiter.leads
        if leads:
            self._lead()
        if waiter.error is not None:
            raise waiter.error
        if waiter.sequence and self.acknowledge is not None:
            self.acknowledge(waiter.sequence)
        return waiter.result  # type: ignore[return-value]

    def _lead(self) -> None:
        """Commit all that waits, then hand over to whoever has come meanwhile."""
        with self._guard:
            group, self._queue = self._queue, []
        try:
            self._commit(group)
        except BaseException as error:  # noqa: BLE001 - every waiter's thread raises it
            named = fsutil.named_error(error) if isinstance(error, OSError) else None
            for waiter in group:
                waiter.error = waiter.error or named or error
        with self._guard:
            successor = self._queue[0] if self._queue else None
            if successor is None:
                self._leading = False
            else:
                successor.leads = True
        for waiter in group:
            waiter.wake.release()
        if successor is not None:
            successor.wake.release()

    def _commit(self, group: list[_Waiter[Any]]) -> None:
        with self._lock:
            undo: list[Callable[[], object]] = []
            try:
                with self._index.transaction() as connection:
                    transaction = self._begin(connection)
                    for waiter in group:
                        _decide(waiter, transaction)
                    self._make_durable(transaction, undo)
                    for settle in transaction.applied.settle:
                        take_back = settle()
                        if take_back is not None:
                            undo.append(take_back)
                    failpoints.hit("payload-settled")
                    transaction.save_heads()
            except BaseException:
                _take_back(undo)
                raise
            failpoints.hit("index-committed")
            self._note_sequence(transaction)

    def _begin(self, connection: sqlite3.Connection) -> Transaction:
        """A transaction that sees every record in the log: those of a process that died before its commit included."""
        own = heads.load(connection, self._files.node, self._files.own_epoch)
        transaction = Transaction(connection, self._applier, own)
        if self._logged:
            active = self._files.segment(own)
            if active is None or not heads.at_end(own, active):
                own = self.catch_up(transaction, own)
            if own.offset >= self._segment_size:
                own = self._files.rotate(own)
                heads.save(connection, own)
            transaction = Transaction(connection, self._applier, own)
        return transaction

    def catch_up(self, transaction: Transaction, own: Head) -> Head:
        """Apply what the log holds beyond `own`, and cut off what a dying process left incomplete."""
        connection = transaction.connection
        active = self._files.segment(own) or self._files.resume(own)
        own = self._files.origin(own)
        self._files.cut_torn_end(active.path, own.offset if active.header.first == own.segment else 0)
        for line in self._files.unapplied(own):
            self._applier.apply(connection, line.record, transaction.applied)
            own = own.after(line.record.sequence, line.chain, line.end)
        for settle in transaction.applied.settle:
            settle()
        advance_clock(connection, transaction.applied.clock)
        own = replace(own, segment=active.header.first, offset=active.size())
        heads.save(connection, own)
        return own

    def _make_durable(self, transaction: Transaction, undo: list[Callable[[], object]]) -> None:
        if not transaction.pending:
            return
        self.payloads.sync_staging(transaction.staged)
        if not self._logged:
            return
        for pending in transaction.pending.values():
            active = self._files.segment(pending.was)
            if active is None:
                raise IronBucketError(
                    f"{self._files.active_path(pending.was.node, pending.was.epoch)}: the log is gone"
                )
            offset = pending.was.offset
            undo.append(lambda active=active, offset=offset: active.truncate(offset))  # type: ignore[misc]
            active.cut(offset)
            active.append(b"".join(pending.lines), offset)
            if self._sync:
                active.sync()

    def _note_sequence(self, transaction: Transaction) -> None:
        """`.sequence` is a cache for a fast start, and evidence when a log has lost its end."""
        if not self._logged:
            return
        with contextlib.suppress(OSError):  # the change is committed: nobody may be told that it failed
            if self._sequence_fd < 0:
                path = os.path.join(self._files.directory, ".sequence")
                self._sequence_fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            os.pwrite(self._sequence_fd, b"%d\n" % transaction.own.sequence, 0)

    def sync_log(self) -> None:
        """Make durable what was appended without a sync (WAL_FLUSH_INTERVAL)."""
        with self._lock:
            own = heads.load(self._index.reader, self._files.node, self._files.own_epoch)
            active = self._files.segment(own)
            if active is not None:
                active.sync()

    def undisturbed(self, action: Callable[[sqlite3.Connection], Result], *, durable: bool = False) -> Result:
        """Run `action` in a transaction of the index while nobody commits: for changes of files only."""
        with self._lock, self._index.transaction(durable=durable) as connection:
            return action(connection)

    def close(self) -> None:
        """Release descriptors; the log needs no ceremony."""
        self._files.close()
        self._lock.close()
        if self._sequence_fd >= 0:
            os.close(self._sequence_fd)


def _decide(waiter: _Waiter[Any], transaction: Transaction) -> None:
    """Run one change. What it raises is its own affair, unless it has left something behind in the transaction."""
    before, sequence = transaction.records, transaction.own.sequence
    try:
        with index_errors():
            waiter.result = waiter.change(transaction)
        if transaction.own.sequence != sequence:
            waiter.sequence = transaction.own.sequence
    except Exception as error:
        if transaction.records != before or not transaction.connection.in_transaction:
            raise
        waiter.error = error


def _take_back(undo: list[Callable[[], object]]) -> None:
    """Payloads back to staging first, then the log: dying in between leaves a record whose payload is still there."""
    try:
        for step in reversed(undo):
            step()
    except OSError:
        # The log now ends in records whose clients are told that they failed. This process must not go on and clean up
        # their payloads; its successor applies the records instead, as after any crash.
        os.kill(os.getpid(), signal.SIGKILL)
