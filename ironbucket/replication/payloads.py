"""The payload of a record, on its way to a peer: inside the batch when it is small, else ahead of it."""

from __future__ import annotations

import hashlib
import os

from ironbucket import failpoints
from ironbucket.errors import IronBucketError
from ironbucket.replication import wire
from ironbucket.replication.peer import Peer
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import MANIFEST, PayloadMissing, read_manifest
from ironbucket.wal.record import Record


class PayloadLost(IronBucketError):
    """The payload of an entry is not here."""


class Payloads:
    """Delivers payloads of this node to one peer."""

    def __init__(self, index: Index, layout: Layout, peer: Peer) -> None:
        self._index, self._layout, self._peer = index, layout, peer

    def deliver(self, record: Record, inline: int = wire.MAX_INLINE) -> bytes | str:
        """The payload of a PUT of at most `inline` bytes, or SENT after it was sent, or GONE.

        Raises PayloadLost, PeerUnreachable, PeerRefused.
        """
        bucket, key, version = record.bucket, record.key or "", record.version
        path = self._layout.payload(bucket, key, version)
        place = {"bucket": bucket, "key": key, "version": version}
        try:
            if record.attributes.get("parts"):
                self._send_parts(place, path)
                return wire.SENT
            if (record.size or 0) <= inline:
                with open(path, "rb") as source:
                    return source.read()
            self._send({**place, "etag": record.etag or ""}, path)
        except FileNotFoundError:
            if self._is_live(record):
                raise PayloadLost(
                    f"the payload of {bucket}/{key} is missing here. Run 'ironbucket verify --repair'."
                ) from None
            return wire.GONE
        return wire.SENT

    def _is_live(self, record: Record) -> bool:
        connection = self._index.reader
        row = buckets.load(connection, record.bucket)
        state = keys.load(self._index, connection, row.number, record.bucket, record.key or "") if row else ()
        return any(one.version == record.version and one.kind is Kind.OBJECT for one in state)

    def _send_parts(self, place: dict[str, str], path: str) -> None:
        """The parts that the manifest names, then the manifest, which has no ETag of its own."""
        try:
            parts = read_manifest(path)
        except PayloadMissing:
            raise FileNotFoundError(path) from None
        for part in parts:
            self._send({**place, "name": part.name}, f"{path}/{part.name}")
        with open(f"{path}/{MANIFEST}", "rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        self._send({**place, "name": MANIFEST, "sha256": digest}, f"{path}/{MANIFEST}")

    def _send(self, place: dict[str, str], path: str) -> None:
        """A payload file, resumed where an earlier attempt broke off."""
        there, size = self._peer.payload_size(place), os.path.getsize(path)
        if there != -1:  # also when all bytes are there: the peer has yet to compare them with the ETag
            self._peer.send_payload({**place, "size": str(size)}, path, there if there <= size else 0)
            failpoints.hit("payload-delivered")
