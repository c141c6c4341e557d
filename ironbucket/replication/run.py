"""One run of the replicator: ask each peer what it has, ship what is missing, until nothing is.

All peers are served side by side; a dead or slow one delays no other. A record is shipped by its origin; another node
forwards it when it has been missing for a while, so that it arrives also when its origin is gone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from ironbucket import failpoints
from ironbucket.clock import wall_ms
from ironbucket.errors import IronBucketError
from ironbucket.node import heads
from ironbucket.node.heads import Head, LogFiles
from ironbucket.replication import wire
from ironbucket.replication.cursor import Cursor, State
from ironbucket.replication.peer import Peer, PeerRefused, PeerUnreachable
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import MANIFEST, PayloadMissing, read_manifest
from ironbucket.wal.reader import Line, oldest, read_stream
from ironbucket.wal.record import PUT, Record
from ironbucket.wal.segment import Header, read_header, segments

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)


class PayloadLost(IronBucketError):
    """The payload of an entry is not here."""


class SnapshotNeeded(IronBucketError):
    """The peer lacks records that the logs no longer hold: it needs a snapshot."""


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
        header, _ = read_header(settings.wal_path)
        layout = Layout(settings.storage_path)
        files = LogFiles(settings.wal_path, header.node, header.epoch)
        return cls(header.node, header.epoch, Index(layout.index), files, layout)

    def heads(self) -> list[Head]:
        """How far each log is committed here: nothing beyond may be shipped."""
        return [head for head in heads.load_all(self.index.reader) if head.sequence]

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
    first = True
    while not stop.is_set():
        peer = Peer(cursor.address, settings.cluster_secret, local.node)
        try:
            _serve_once(settings, local, peer, cursor, stop)
        except Exception as error:  # a defect met with one peer must not keep the others waiting
            log.exception("%s", cursor.address)
            cursor.failed(f"{type(error).__name__}: {error}")
        finally:
            peer.close()
        state.save()
        if first:
            busy.done()
            first = False
        if watch:
            stop.wait(interval)
        elif not busy.others(interval):
            return


def _serve_once(settings: Settings, local: Local, peer: Peer, cursor: Cursor, stop: threading.Event) -> None:
    before = cursor.last_error
    try:
        Shipment(settings, local, peer, cursor).ship(stop)
    except (IronBucketError, OSError) as error:
        if before != str(error):
            log.error("%s: %s", cursor.address, error)
        cursor.failed(str(error))
    note_backlog(local, cursor)


class Shipment:
    """What one peer lacks, on its way."""

    def __init__(self, settings: Settings, local: Local, peer: Peer, cursor: Cursor, *, discarded: str = "") -> None:
        """`discarded`: the place (node/epoch/sequence) of an entry that goes without its payload."""
        self._settings, self._local, self._peer, self._cursor = settings, local, peer, cursor
        self._discarded = discarded
        self._forward_after_ms = max(3 * settings.batch_interval, 3000)

    def ship(self, stop: threading.Event, only: str = "") -> None:
        """Until the peer has everything, or all of one stream ("node/epoch").

        What fails in one stream delays no other. Raises PeerUnreachable, and at the end what failed: PeerRefused,
        SnapshotNeeded, LogDamaged.
        """
        self._cursor.reached(self._peer.vector())
        self._cursor.refused.clear()
        failed: dict[str, IronBucketError] = {}
        sent = True
        while sent and not stop.is_set():
            sent = False
            for head in self._heads(only):
                stream = f"{head.node}/{head.epoch}"
                if head.sequence <= self._cursor.sequence(stream):
                    self._cursor.waiting.pop(stream, None)
                elif stream not in failed and stream not in self._refused_streams():
                    try:
                        sent |= self._ship_stream(head)
                    except PeerUnreachable:
                        raise
                    except IronBucketError as error:
                        failed[stream] = error
        for failure in failed.values():
            if not (isinstance(failure, PeerRefused) and failure.document.get("code") == "Busy"):
                raise failure

    def _heads(self, only: str) -> list[Head]:
        """This node's own log first: nobody else has it."""
        found = [head for head in self._local.heads() if only in ("", f"{head.node}/{head.epoch}")]
        return sorted(found, key=lambda head: head.node != self._local.node)

    def ship_stream(self, stream: str) -> bool:
        """One batch of one stream ("node/epoch"). False when there is nothing to send. Raises as `ship` does."""
        return any(self._ship_stream(head) for head in self._local.heads() if f"{head.node}/{head.epoch}" == stream)

    def _refused_streams(self) -> set[str]:
        return {place.rpartition("/")[0] for place in self._cursor.refused}

    def _ship_stream(self, head: Head) -> bool:
        """One batch of a stream. False when there is nothing to send just now."""
        path = self._local.files.active_path(head.node, head.epoch)
        after = self._cursor.sequence(f"{head.node}/{head.epoch}")
        begin = oldest(path, head.epoch)
        if begin is None:
            return False
        header, _ = read_header(segments(path, head.epoch)[0].path)
        if after < begin - 1 and not (after == 0 and (header.first == 1 or header.parent_epoch)):
            raise SnapshotNeeded(f"{self._cursor.address} has {head.node} up to {after}, the log begins at {begin}")
        if head.node != self._local.node and not self._is_left_to_us(f"{head.node}/{head.epoch}", after):
            return False
        chain, lines = self._batch(head, path, max(after, header.first - 1), header)
        if not lines:
            return False
        first = Header(
            head.node, head.epoch, lines[0].record.sequence, chain, header.parent_epoch, header.parent_sequence
        )
        entries = self._entries(lines)
        if entries:
            self._deliver(wire.Piece(first, entries))
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

    def _batch(self, head: Head, path: str, after: int, header: Header) -> tuple[str, list[Line]]:
        """The chain hash before the first line, by this node's own copy, and the lines."""
        chain, size = header.chain, 0
        lines: list[Line] = []
        for line in read_stream(path, head.epoch, max(after - 1, header.first - 1)):
            if line.record.sequence <= after:
                chain = line.chain
                continue
            if line.record.sequence > head.sequence or len(lines) >= self._settings.max_batch_size:
                break
            lines.append(line)
            size += len(line.raw) + min(line.record.size or 0, wire.MAX_INLINE)
            if size >= wire.MAX_BATCH_BYTES:
                break
        return chain, lines

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
        path = self._local.layout.payload(record.bucket, record.key or "", record.version)
        place = {"bucket": record.bucket, "key": record.key or "", "version": record.version}
        try:
            if record.attributes.get("parts"):
                self._send_parts(place, path)
                return wire.Entry(line, wire.SENT)
            if (record.size or 0) <= wire.MAX_INLINE:
                with open(path, "rb") as source:
                    return wire.Entry(line, source.read())
            self._send_file({**place, "etag": record.etag or ""}, path)
        except FileNotFoundError:
            if self._is_live(record):
                raise PayloadLost(
                    f"the payload of {record.bucket}/{record.key} is missing here. Run 'ironbucket verify --repair'."
                ) from None
            return wire.Entry(line, wire.GONE)
        return wire.Entry(line, wire.SENT)

    def _send_parts(self, place: dict[str, str], path: str) -> None:
        """The parts that the manifest names, then the manifest, which has no ETag of its own."""
        try:
            parts = read_manifest(path)
        except PayloadMissing:
            raise FileNotFoundError(path) from None
        for part in parts:
            self._send_file({**place, "name": part.name}, f"{path}/{part.name}")
        with open(f"{path}/{MANIFEST}", "rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        self._send_file({**place, "name": MANIFEST, "sha256": digest}, f"{path}/{MANIFEST}")

    def _is_live(self, record: Record) -> bool:
        connection = self._local.index.reader
        row = buckets.load(connection, record.bucket)
        state = keys.load(self._local.index, connection, row.number, record.bucket, record.key or "") if row else ()
        return any(one.version == record.version and one.kind is Kind.OBJECT for one in state)

    def _send_file(self, place: dict[str, str], path: str) -> None:
        """A payload file, resumed where an earlier attempt broke off."""
        there, size = self._peer.payload_size(place), os.path.getsize(path)
        if there != -1:  # also when all bytes are there: the peer has yet to compare them with the ETag
            self._peer.send_payload({**place, "size": str(size)}, path, there if there <= size else 0)
            failpoints.hit("payload-delivered")

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


def _place(record: Record) -> str:
    return f"{record.node}/{record.epoch}/{record.sequence}"


def note_backlog(local: Local, cursor: Cursor) -> None:
    """How much waits for a peer, by what it last said it has: never 0 while something is pending."""
    cursor.backlog_entries, cursor.backlog_since_ms = 0, 0
    for head in local.heads():
        missing = head.sequence - cursor.sequence(f"{head.node}/{head.epoch}")
        if missing > 0:
            cursor.backlog_entries += missing
            since = next((line.record.ms for line in _missing(local, cursor, head)), wall_ms())
            cursor.backlog_since_ms = min(cursor.backlog_since_ms or since, since)


def _missing(local: Local, cursor: Cursor, head: Head) -> Iterator[Line]:
    path = local.files.active_path(head.node, head.epoch)
    after = max(cursor.sequence(f"{head.node}/{head.epoch}"), (oldest(path, head.epoch) or 1) - 1)
    return read_stream(path, head.epoch, after)
