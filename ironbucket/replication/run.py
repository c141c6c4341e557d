"""One run of the replicator: ask each peer what it has, ship what is missing, until nothing is.

All peers are served side by side; a dead or slow one delays no other. A record is shipped by its origin; another node
forwards it when it has been missing for a while, so that it arrives also when its origin is gone.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ironbucket import failpoints
from ironbucket.clock import wall_ms
from ironbucket.errors import EpochDiverged, IronBucketError, LogDamaged
from ironbucket.node import heads
from ironbucket.node.heads import Head, LogFiles
from ironbucket.replication import wire
from ironbucket.replication.cursor import Cursor, State
from ironbucket.replication.feed import Feed, SnapshotNeeded
from ironbucket.replication.payloads import PayloadLost, Payloads
from ironbucket.replication.peer import Peer, PeerRefused
from ironbucket.replication.transfer import Transfer
from ironbucket.store.index import Index
from ironbucket.store.paths import Layout
from ironbucket.wal.reader import Line, oldest, read_stream
from ironbucket.wal.record import PUT, Record
from ironbucket.wal.segment import read_header

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)


NEW_EPOCH = "Stop that node and run 'ironbucket recover --new-epoch' there."


@dataclass
class Local:
    """This node, as the replicator sees it: logs, payloads and how far they are committed."""

    node: str
    epoch: str
    index: Index
    files: LogFiles
    layout: Layout

    @classmethod
    def open(cls, settings: Settings) -> Local:
        node, epoch = settings.node_id, ""  # of a node that keeps no log
        if settings.wal_enabled:
            header, _ = read_header(settings.wal_path)
            node, epoch = header.node, header.epoch
        layout = Layout(settings.storage_path)
        return cls(node, epoch, Index(layout.index), LogFiles(settings.wal_path, node, epoch), layout)

    def heads(self) -> list[Head]:
        """How far each log is committed here: nothing beyond may be shipped."""
        return [head for head in heads.load_all(self.index.reader) if head.sequence]

    @contextlib.contextmanager
    def view(self) -> Iterator[sqlite3.Connection]:
        """One view of the index, at one position of the logs."""
        connection = self.index.reader
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    def close(self) -> None:
        self.index.close()


def replicate(settings: Settings, *, watch: bool = False, stop: threading.Event | None = None) -> State:
    """Ship to all peers until each has everything (or cannot be reached); with `watch`, go on until `stop`."""
    stop = stop or threading.Event()
    local = Local.open(settings)
    state = State(settings.state_path, local.node, settings.cluster_nodes)
    busy = _Busy(len(state.peers))
    threads = [
        threading.Thread(
            target=_serve_peer,
            args=(settings, local, state, cursor, busy, watch, stop),
            name=cursor.address,
            daemon=True,
        )
        for cursor in state.peers.values()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state.save()
    local.close()
    return state


class _Busy:
    """How many peers still have work: the others look again meanwhile, so that a slow one delays nobody."""

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, threading.Lock()
        self._none = threading.Event()

    def done(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._none.set()

    def others(self, interval: float) -> bool:
        """Whether some peer is still being served after `interval` seconds."""
        return not self._none.wait(interval)


def _serve_peer(
    settings: Settings, local: Local, state: State, cursor: Cursor, busy: _Busy, watch: bool, stop: threading.Event
) -> None:
    """The thread of one peer."""
    interval = settings.batch_interval / 1000
    try:
        _round(settings, local, state, cursor, stop)
    finally:
        busy.done()
    while not stop.is_set() and (not stop.wait(interval) if watch else busy.others(interval)):
        _round(settings, local, state, cursor, stop)


def _round(settings: Settings, local: Local, state: State, cursor: Cursor, stop: threading.Event) -> None:
    """Ship once, and keep what came of it."""
    peer = Peer(cursor.address, settings.cluster_secret, local.node)
    try:
        _serve_once(settings, local, state, peer, cursor, stop)
    except Exception as error:  # a defect met with one peer must not keep the others waiting
        log.exception("%s", cursor.address)
        cursor.failed(f"{type(error).__name__}: {error}")
    finally:
        peer.close()
    state.save()


def _serve_once(
    settings: Settings, local: Local, state: State, peer: Peer, cursor: Cursor, stop: threading.Event
) -> None:
    before = cursor.last_error
    try:
        Shipment(settings, local, peer, cursor, state=state).ship(stop)
    except (IronBucketError, OSError) as error:
        if before != str(error):
            log.error("%s: %s", cursor.address, error)
        cursor.failed(str(error))
    note_backlog(local, cursor)


class Shipment:
    """What one peer lacks, on its way."""

    def __init__(
        self,
        settings: Settings,
        local: Local,
        peer: Peer,
        cursor: Cursor,
        *,
        state: State | None = None,
        discarded: str = "",
    ) -> None:
        """`discarded`: the place (node/epoch/sequence) of an entry that goes without its payload."""
        self._settings, self._local, self._peer, self._cursor = settings, local, peer, cursor
        self._state = state
        self._feed = Feed(local.files)
        self._payloads = Payloads(local.index, local.layout, peer)
        self._discarded = discarded
        self._forward_after_ms = max(3 * settings.batch_interval, 3000)

    def ship(self, stop: threading.Event, only: str = "") -> None:
        """Until the peer has everything that can be shipped, or all of one log ("node/epoch"). Raises PeerUnreachable.

        What is wrong with one log stops that log only; it is raised in the end, and stays visible as backlog.
        """
        answer = self._peer.vector()
        self._cursor.reached(answer)
        self._cursor.refused.clear()
        self._answer_request(answer, stop)
        troubles: dict[str, IronBucketError] = {}
        sent = True
        while sent and not stop.is_set():
            sent = False
            for head in self._heads(only):
                stream = f"{head.node}/{head.epoch}"
                if head.sequence <= self._cursor.sequence(stream):
                    self._cursor.waiting.pop(stream, None)
                if stream in troubles or stream in self._refused_streams():
                    continue
                try:
                    self._check_agreement(head)
                    sent |= head.sequence > self._cursor.sequence(stream) and self._ship_stream(head)
                except SnapshotNeeded as needed:
                    if self._is_for_another(head):
                        continue
                    log.info("%s needs a snapshot: %s", self._cursor.address, needed.message)
                    sent |= self._transfer(stop)
                except (LogDamaged, EpochDiverged, PeerRefused) as error:
                    troubles[stream] = error
        messages = [error.message for error in troubles.values() if not _is_busy(error)]
        if messages:
            raise IronBucketError("; ".join(messages))

    def _heads(self, only: str) -> list[Head]:
        """This node's own logs first: nobody else may have them."""
        found = [head for head in self._local.heads() if only in ("", f"{head.node}/{head.epoch}")]
        return sorted(found, key=lambda head: head.node != self._local.node)

    def _check_agreement(self, head: Head) -> None:
        """Raises EpochDiverged where the peer holds other records under the same numbers."""
        sequence, chain = self._cursor.vector.get(f"{head.node}/{head.epoch}", (0, ""))
        own = (head.node, head.epoch) == (self._local.node, self._local.epoch)
        if own and sequence > head.sequence:
            raise EpochDiverged(
                f"{self._cursor.address} holds record {sequence} of this node's epoch {head.epoch}, whose log here ends"
                f" at {head.sequence}: it was put back from an older copy. {NEW_EPOCH}"
            )
        if sequence == head.sequence and chain != head.chain:
            raise EpochDiverged(
                f"{self._cursor.address} holds another record {sequence} of {head.node}, epoch {head.epoch}: the log of"
                f" {head.node} was put back from an older copy. {NEW_EPOCH}"
            )

    def _is_for_another(self, head: Head) -> bool:
        """Whether the origin of a log can be expected to help the peer, with the log or with its state."""
        origin = self._origin(head.node)
        return head.node not in (self._local.node, self._cursor.node) and origin is not None and not origin.last_error

    def _origin(self, node: str) -> Cursor | None:
        peers = self._state.peers.values() if self._state is not None else ()
        return next((cursor for cursor in peers if cursor.node == node), None)

    def _answer_request(self, answer: Mapping[str, Any], stop: threading.Event) -> None:
        wanted = answer.get("resync")
        if wanted and wanted["from"] in ("", self._local.node):
            self._transfer(stop, request=str(wanted["id"]))

    def _transfer(self, stop: threading.Event, request: str = "") -> bool:
        """Bring the peer a snapshot. False when another node is doing that, or `stop` came first."""
        try:
            return Transfer(self._settings, self._local, self._peer, self._cursor).run(stop, request)
        except PeerRefused as refusal:
            if not _is_busy(refusal):
                raise
            return False

    def ship_stream(self, stream: str) -> bool:
        """One batch of one stream ("node/epoch"). False when there is nothing to send. Raises as `ship` does."""
        return any(self._ship_stream(head) for head in self._local.heads() if f"{head.node}/{head.epoch}" == stream)

    def _refused_streams(self) -> set[str]:
        return {place.rpartition("/")[0] for place in self._cursor.refused}

    def _ship_stream(self, head: Head) -> bool:
        """One batch of a stream. False when there is nothing to send just now. Raises SnapshotNeeded, LogDamaged."""
        after = self._cursor.sequence(f"{head.node}/{head.epoch}")
        foreign = head.node not in (self._local.node, self._cursor.node)  # a peer's own past only others can give back
        if foreign and not self._is_left_to_us(f"{head.node}/{head.epoch}", after):
            return False
        header, lines = self._feed.take(head, after, self._settings.max_batch_size)
        entries = self._entries(lines)
        if entries:
            self._deliver(wire.Piece(header, entries))
        return bool(entries)

    def _is_left_to_us(self, stream: str, after: int) -> bool:
        """Whether the peer has stood still at `after` for so long that the log's origin seems not to deliver it.

        Measured by this node's clock alone: stamps are from the origin's.
        """
        now = wall_ms()
        at, since = self._cursor.waiting.get(stream, (-1, now))
        if at != after or since > now:
            self._cursor.waiting[stream] = (after, now)
            return False
        return now - since >= self._forward_after_ms

    def _entries(self, lines: list[Line]) -> list[wire.Entry]:
        """The entries with their payloads, up to the first whose payload cannot be delivered: that one is refused."""
        entries = []
        for line in lines:
            try:
                entries.append(self._entry(line))
            except PayloadLost as error:
                self._refused(_place(line.record), error.message)
                break
            except PeerRefused as refusal:
                if refusal.status != 400:
                    raise
                self._refused(_place(line.record), str(refusal.document.get("message", "")))
                break
        return entries

    def _entry(self, line: Line) -> wire.Entry:
        """A line with its payload: inside the batch when it is small, else sent ahead of it."""
        record = line.record
        if record.operation != PUT:
            return wire.Entry(line)
        if _place(record) == self._discarded:
            return wire.Entry(line, wire.GONE)
        return wire.Entry(line, self._payloads.deliver(record))

    def _deliver(self, piece: wire.Piece) -> None:
        stream = f"{piece.header.node}/{piece.header.epoch}"
        try:
            failpoints.hit("batch-made")
            self._cursor.reached(self._peer.send_batch(wire.encode([piece])))
            failpoints.hit("batch-delivered")
            if stream in self._cursor.waiting:  # we have taken it over, until its origin is faster
                self._cursor.waiting[stream] = (self._cursor.sequence(stream), self._cursor.waiting[stream][1])
        except PeerRefused as refusal:
            place = refusal.document.get("refused")
            if not place:
                raise
            self._cursor.vector = refusal.document.get("vector", self._cursor.vector)
            self._refused(str(place), str(refusal.document.get("message", "")))
            before = list(takewhile(lambda entry: _place(entry.line.record) != place, piece.entries))
            if 0 < len(before) < len(piece.entries):
                self._deliver(wire.Piece(piece.header, before))

    def _refused(self, place: str, reason: str) -> None:
        self._cursor.refused[place] = reason
        self._cursor.failed(f"{place} refused: {reason}")
        log.error("%s does not get %s: %s", self._cursor.address, place, reason)


def _is_busy(error: IronBucketError) -> bool:
    """Whether another node, or another process of this one, is delivering the same just now."""
    return isinstance(error, PeerRefused) and error.document.get("code") == "Busy"


def _place(record: Record) -> str:
    return f"{record.node}/{record.epoch}/{record.sequence}"


def note_backlog(local: Local, cursor: Cursor) -> None:
    """How much waits for a peer, by what it last said it has: never 0 while something is pending."""
    before = cursor.backlog_since_ms
    cursor.backlog_entries, cursor.backlog_since_ms = 0, 0
    for head in local.heads():
        missing = head.sequence - cursor.sequence(f"{head.node}/{head.epoch}")
        if missing > 0:
            cursor.backlog_entries += missing
            since = _since(local, cursor, head) or before or wall_ms()
            cursor.backlog_since_ms = min(cursor.backlog_since_ms or since, since)


def _since(local: Local, cursor: Cursor, head: Head) -> int:
    """The stamp of the oldest record that a peer lacks, in milliseconds; 0 when it cannot be read."""
    path = local.files.active_path(head.node, head.epoch)
    with contextlib.suppress(LogDamaged):  # whoever ships it reports it
        after = max(cursor.sequence(f"{head.node}/{head.epoch}"), (oldest(path, head.epoch) or 1) - 1)
        return next((line.record.ms for line in read_stream(path, head.epoch, after)), 0)
    return 0
