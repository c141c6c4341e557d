"""A node with its receiver, called directly: what peers send, without a network."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ironbucket.node import Node
from ironbucket.replication import PREFIX, wire
from ironbucket.replication.peer import ACCESS_KEY, REGION, SERVICE
from ironbucket.replication.receive import Receiver
from ironbucket.signature import UNSIGNED_PAYLOAD, sign
from ironbucket.wal.reader import Line
from ironbucket.wal.record import CREATE_BUCKET, NO_CHAIN, PUT, Record, encode, epoch_chain
from ironbucket.wal.segment import Header
from tests.unit.node.opened import settings_in

SECRET = "0123456789abcdef0123456789abcdef"
EPOCH = "19c2a7d0e11f0001"
STARTED = int(time.time() * 1000)  # so that two logs with the same content are the same
VERSION = "01JD3V2Q9Z8K7M5N4P3R2S1T0V"


@dataclass
class Log:
    """A log that a peer might send."""

    node: str = "node-9"
    epoch: str = EPOCH
    chain: str = ""
    entries: list[wire.Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin = self.chain = epoch_chain(self.epoch, NO_CHAIN)

    def add(
        self, operation: str, bucket: str, key: str | None = None, payload: bytes | str | None = None, **attributes: Any
    ) -> Record:
        """The next record; a PUT of `payload` has its size and ETag unless `attributes` say otherwise."""
        data = payload if isinstance(payload, bytes) else b""
        put = operation == PUT
        size = attributes.pop("size", len(data)) if put else None
        etag = attributes.pop("etag", hashlib.md5(data).hexdigest()) if put else None
        ms = attributes.pop("ms", STARTED + len(self.entries))
        sequence = len(self.entries) + 1
        record = Record(operation, self.node, sequence, ms, bucket, key, size, etag, attributes, self.epoch)
        raw, self.chain = encode(record, self.chain)
        self.entries.append(wire.Entry(Line(record, raw, self.chain, 0), payload))
        return record

    def piece(self, begin: int = 0, end: int | None = None) -> wire.Piece:
        """The records from `begin` on (counted from 0)."""
        chain = self.entries[begin - 1].line.chain if begin else self.begin
        return wire.Piece(Header(self.node, self.epoch, begin + 1, chain), self.entries[begin:end])

    def batch(self, begin: int = 0, end: int | None = None) -> bytes:
        return wire.encode([self.piece(begin, end)])


def filled(count: int = 3) -> Log:
    """A bucket and objects k1, k2, ..."""
    log = Log()
    log.add(CREATE_BUCKET, "photos", owner="o")
    for i in range(1, count + 1):
        log.add(PUT, "photos", f"k{i}", b"data %d" % i, version=VERSION[:-1] + str(i), owner="o")
    return log


class Served:
    """The receiver of a node."""

    def __init__(self, node: Node) -> None:
        self.node, self.receiver = node, Receiver(node)

    def ask(
        self,
        method: str,
        what: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        secret: str = SECRET,
        signed: bool = True,
        **changed: Any,
    ) -> tuple[int, Any]:
        """(status, document or bytes) of a signed request; `changed` overrides the environ after signing."""
        target = PREFIX + what + ("?" + urlencode(query) if query else "")
        digest = UNSIGNED_PAYLOAD if what == "payload" else hashlib.sha256(body).hexdigest()
        headers = {"host": "here"}
        if signed:
            headers = sign(
                method,
                target,
                headers,
                access_key=ACCESS_KEY,
                secret=secret,
                region=REGION,
                service=SERVICE,
                now=time.time(),
                payload=digest,
            )
        environ = {
            "REQUEST_METHOD": method,
            "REQUEST_URI": target,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "ironbucket.headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            **changed,
        }
        statuses: list[str] = []
        answer = b"".join(self.receiver(environ, lambda status, _: statuses.append(status)))
        try:
            return int(statuses[0][:3]), json.loads(answer)
        except ValueError:
            return int(statuses[0][:3]), answer

    def send(self, body: bytes) -> tuple[int, Any]:
        return self.ask("POST", "batch", body=body)


@contextmanager
def served(folder: Path, **more: Any) -> Iterator[Served]:
    settings = settings_in(folder, node_id="node-1", cluster_secret=SECRET, cluster_nodes=("127.0.0.1:1",), **more)
    Node.prepare(settings)
    node = Node.open(settings)
    try:
        yield Served(node)
    finally:
        node.close()
