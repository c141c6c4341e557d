"""Bringing a peer this node's state, where its logs no longer reach back to what the peer lacks.

Range by range, in the order of buckets and keys, each as the index has it in one transaction; payloads that the peer
has are not sent again. It can be broken off anywhere: the peer knows how far it is. What is written meanwhile follows
in the logs, from the vector on at which the transfer began.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ironbucket.clock import wall_ms
from ironbucket.node import entries
from ironbucket.node.join import Range
from ironbucket.node.snapshot import header_of, missing_before
from ironbucket.replication import ranges, wire
from ironbucket.replication.cursor import Cursor
from ironbucket.replication.payloads import Payloads
from ironbucket.replication.peer import Peer
from ironbucket.store import buckets
from ironbucket.store.buckets import BucketRow
from ironbucket.store.model import Kind, Version
from ironbucket.store.scan import states
from ironbucket.wal.record import Record
from ironbucket.wal.segment import segments

if TYPE_CHECKING:
    from ironbucket.config import Settings
    from ironbucket.replication.run import Local

log = logging.getLogger(__name__)

_LEAST_ENTRIES = 500  # a range costs the peer two commits: smaller ones than this do not pay


class Transfer:
    """One state, on its way to one peer."""

    def __init__(self, settings: Settings, local: Local, peer: Peer, cursor: Cursor) -> None:
        self._local, self._peer, self._cursor = local, peer, cursor
        self._most = max(settings.max_batch_size, _LEAST_ENTRIES)
        self._payloads = Payloads(local.index, local.layout, peer)

    def run(self, stop: threading.Event, request: str = "") -> bool:
        """All of it, or what is left of it. False when `stop` came first. Raises PeerRefused, PeerUnreachable.

        `request` is the id of the resync that it answers.
        """
        session = self._begin(request)
        log.info(
            "bringing %s the state of this node, from %s on", self._cursor.address, session["bucket"] or "the start"
        )
        while not stop.is_set():
            part = self._read(session)
            if part is None:
                self._finish(session)
                return True
            session = self._send(part)
            self._cursor.transfer = {"bucket": session["bucket"], "entries": session["count"], "ms": wall_ms()}
        return False

    def _begin(self, request: str) -> dict[str, Any]:
        with self._local.view() as connection:
            header = header_of(connection, self._local.node)
        document = {"sender": self._local.node, "request": request, "vector": header.vector, "restart": False}
        session = self._peer.post("state/begin", document)
        if not self._continues(session["vector"]):
            log.info("the logs no longer reach back to where an earlier transfer began: it begins anew")
            session = self._peer.post("state/begin", {**document, "restart": True})
        return session

    def _continues(self, vector: Mapping[str, Any]) -> bool:
        """Whether the logs here hold all that comes after a vector."""
        for head in self._local.heads():
            path = self._local.files.active_path(head.node, head.epoch)
            kept_from = missing_before(path, head.epoch) if segments(path, head.epoch) else head.sequence
            if vector.get(f"{head.node}/{head.epoch}", (0, ""))[0] < kept_from:
                return False
        return True

    def _read(self, session: Mapping[str, Any]) -> Range | None:
        """The next range; None after the last."""
        with self._local.view() as connection:
            header = header_of(connection, self._local.node)
            row: BucketRow | None = None
            after = b""
            if session["key"] is not None:
                row = buckets.load(connection, session["bucket"])
                after = bytes.fromhex(session["key"])
            if row is None:
                after = b""
                row = next(buckets.scan(connection, after=session["bucket"]), None)
            if row is None:
                return None
            found: list[Version] = []
            size, last = 0, after
            upto: bytes | None = None
            for key, state in states(self._local.index, connection, row.number, row.name, after):
                if len(found) >= self._most or size >= wire.MAX_BATCH_BYTES:
                    upto = last
                    break
                found += state
                size += sum(min(one.size, wire.MAX_INLINE) for one in state)
                last = key
        vector = {stream: sequence for stream, (sequence, _) in header.vector.items()}
        return Range(session["id"], row, after, upto, found, vector, header.clock)

    def _send(self, part: Range) -> dict[str, Any]:
        objects = [entry for entry in part.entries if entry.kind is Kind.OBJECT]
        places = [[one.bucket, one.key, one.version, one.size, one.parts] for one in objects]
        lacking = set(self._peer.post("state/lacks", {"places": places})["lacks"] if places else ())
        wanted = {one.version for number, one in enumerate(objects) if number in lacking}
        budget = wire.MAX_BATCH_BYTES
        lines: list[tuple[Record, bytes | str | None]] = []
        for entry in part.entries:
            record, payload = entries.record_of(entry), None
            if entry.version in wanted and entry.kind is Kind.OBJECT:
                payload = self._payloads.deliver(record, min(wire.MAX_INLINE, budget))
                budget -= len(payload) if isinstance(payload, bytes) else 0
            lines.append((record, payload))
        return self._peer.send("state/range", ranges.encode(part, lines))

    def _finish(self, session: Mapping[str, Any]) -> None:
        with self._local.view() as connection:
            names = [row.name for row in buckets.scan(connection)]
        self._cursor.reached(self._peer.post("state/finish", {"id": session["id"], "names": names}))
        self._cursor.transfer = {}
        log.info("%s has the state of this node: %d entries", self._cursor.address, session["count"])
