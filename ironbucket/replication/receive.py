"""The receiving side: verify, write payloads and log straight to disk, acknowledge what is durable.

A WSGI application under ``/-/replicate/``, which no bucket can be called and nginx does not pass on. It bypasses S3;
its writes meet those of clients in `apply`. Requests are signed with the cluster's secret.

    GET  vector                                  who is this, and how far does it hold each log
    GET  chain?node&epoch&sequence               the chain hash of a record
    POST batch                                   lines and small payloads (ironbucket.replication.wire)
    GET  payload?bucket&key&version[&name]       how much of a large payload is staged here
    PUT  payload?...&offset&size[&etag]          the rest of it
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from ironbucket import failpoints, fsutil
from ironbucket.clock import MAX_SKEW_MS, wall_ms
from ironbucket.errors import EpochDiverged, IronBucketError, S3Error, ServiceUnavailable, StorageFull
from ironbucket.node import heads, resync
from ironbucket.node.commit import Transaction
from ironbucket.replication import PREFIX, digest, lend, wire
from ironbucket.replication.peer import ACCESS_KEY, REGION, SERVICE
from ironbucket.replication.takeover import Takeover
from ironbucket.store.payloads import Payload
from ironbucket.verifier import Verifier
from ironbucket.wal.reader import chain_at
from ironbucket.wal.record import PUT, Record
from ironbucket.wal.segment import Header

if TYPE_CHECKING:
    from ironbucket.node.node import Node

log = logging.getLogger(__name__)

Environ = dict[str, Any]
Answer = tuple[int, "dict[str, Any] | Payload"]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

_CHUNK = 1 << 20
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    503: "Service Unavailable",
}


class Refused(IronBucketError):
    """An entry that this node does not take, and why."""

    def __init__(self, place: str, reason: str) -> None:
        self.place = place
        super().__init__(reason)


class Busy(IronBucketError):
    """Another peer is delivering the same log just now."""


class Receiver:
    """The WSGI application."""

    def __init__(self, node: Node) -> None:
        self._node = node
        secret = node.settings.cluster_secret
        self._verifier = Verifier(lambda key: secret if key == ACCESS_KEY and secret else None, REGION, SERVICE)
        self._pool = ThreadPoolExecutor(8, "payload")
        self._takeover = Takeover(node, self._stage_all, self._state)
        self._routes: dict[tuple[str, str], Callable[[Environ, Mapping[str, str]], Answer]] = {
            ("GET", "vector"): self._get_vector,
            ("POST", "batch"): self._post_batch,
            ("GET", "payload"): self._get_payload,
            ("PUT", "payload"): self._put_payload,
            ("GET", "chain"): self._get_chain,
            ("GET", "object"): lambda _, query: lend.get_object(node, query),
            ("GET", "bytes"): lambda _, query: lend.get_bytes(node, query),
            **{
                ("POST", f"state/{what}"): partial(self._take_over, what)
                for what in ("begin", "lacks", "range", "finish")
            },
            ("POST", "digest"): lambda environ, _: digest.answer(node, _read_signed_body(environ)),
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        status, answer = self._answer(environ)
        if isinstance(answer, Payload):
            start_response("200 OK", [("Content-Length", str(answer.size))])
            return answer
        body = json.dumps(answer).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{status} {_REASONS.get(status, 'Error')}", headers)
        return [body]

    def _answer(self, environ: Environ) -> Answer:
        path, _, query = environ["REQUEST_URI"].partition("?")
        try:
            self._authenticate(environ, path, query)
            handler = self._routes.get((environ["REQUEST_METHOD"], path.removeprefix(PREFIX)))
            if handler is None:
                return 404, {"code": "NotFound", "message": f"no such endpoint: {path}"}
            return handler(environ, dict(parse_qsl(query, keep_blank_values=True)))
        except Refused as refused:
            return 409, {
                "code": "Refused",
                "refused": refused.place,
                "message": refused.message,
                "vector": self.vector(),
            }
        except wire.CorruptBatch as error:
            return 400, {"code": "CorruptBatch", "message": str(error)}
        except (Busy, StorageFull, ServiceUnavailable) as error:
            return 503, {"code": type(error).__name__, "message": error.message}
        except S3Error as error:
            return 403, {"code": error.code, "message": error.message}
        except OSError as error:
            named = fsutil.named_error(error)
            if named is None:
                raise
            return 503, {"code": named.code, "message": named.message}

    def _authenticate(self, environ: Environ, path: str, query: str) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in environ["ironbucket.headers"]}
        if "authorization" not in headers:
            raise ServiceUnavailable("This path is for the nodes of the cluster.")
        self._verifier.verify(environ["REQUEST_METHOD"], path, query, headers, time.time())
        environ["ironbucket.payload"] = headers["x-amz-content-sha256"]

    def vector(self) -> dict[str, list[Any]]:
        """How far each log is held durably here: "node/epoch" -> [sequence, chain hash]."""
        return {
            f"{head.node}/{head.epoch}": [head.sequence, head.chain]
            for head in heads.load_all(self._node.index.reader)
            if head.sequence
        }

    # -- endpoints ----------------------------------------------------------------------------------------------------

    def _get_vector(self, _environ: Environ, _query: Mapping[str, str]) -> Answer:
        return 200, self._state()

    def _state(self) -> dict[str, Any]:
        who = self._node.identity
        state: dict[str, Any] = {"node": who.node, "epoch": who.epoch, "clock": wall_ms(), "vector": self.vector()}
        wanted = resync.pending(self._node.files.directory)
        if wanted is not None:
            state["resync"] = {"id": wanted.id, "from": wanted.source}
        return state

    def _take_over(self, what: str, environ: Environ, _query: Mapping[str, str]) -> Answer:
        return self._takeover.answer(what, _read_signed_body(environ))

    def _get_chain(self, _environ: Environ, query: Mapping[str, str]) -> Answer:
        """The chain hash of a record of a log; null when this node does not hold it (any more)."""
        node, epoch = query["node"], query["epoch"]
        if f"{node}/{epoch}" not in self.vector():
            return 200, {"chain": None}
        return 200, {"chain": chain_at(self._node.files.active_path(node, epoch), epoch, int(query["sequence"]))}

    def _post_batch(self, environ: Environ, _query: Mapping[str, str]) -> Answer:
        for piece in wire.parse(_read_signed_body(environ)):
            self._take(piece)
        return 200, self._state()

    def _get_payload(self, _environ: Environ, query: Mapping[str, str]) -> Answer:
        final, staged = self._places(query)
        if os.path.lexists(final):
            return 200, {"size": -1}
        try:
            return 200, {"size": os.path.getsize(staged)}
        except FileNotFoundError:
            return 200, {"size": 0}

    def _put_payload(self, environ: Environ, query: Mapping[str, str]) -> Answer:
        _, staged = self._places(query)
        offset, size = int(query["offset"]), int(query["size"])
        if query.get("name"):
            fsutil.make_directory(os.path.dirname(staged))
        fd = self._open_staged(query, staged)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy from None
            if os.fstat(fd).st_size != offset:
                return 409, {"code": "Offset", "message": f"{os.fstat(fd).st_size} bytes are here"}
            _stream(environ, fd, offset)
            os.fsync(fd)
            if os.fstat(fd).st_size == size:
                _check_etag(staged, query.get("etag") or _part_etag(query.get("name", "")))
        finally:
            os.close(fd)
        return 200, {"size": size}

    def _open_staged(self, query: Mapping[str, str], staged: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(staged, flags, 0o640)
        except FileNotFoundError:
            self._node.payloads.prepare_bucket(query["bucket"])
            return os.open(staged, flags, 0o640)

    def _places(self, query: Mapping[str, str]) -> tuple[str, str]:
        place = (query["bucket"], query["key"], query["version"])
        wire.check_place(query["bucket"], query["version"], query.get("name", ""))
        layout = self._node.payloads.layout
        suffix = f"/{query['name']}" if query.get("name") else ""
        return layout.payload(*place) + suffix, layout.staged(*place) + suffix

    # -- a piece of a log ----------------------------------------------------------------------------------------------

    def _take(self, piece: wire.Piece) -> None:
        """Stage the payloads, then append and apply the lines: both durable when this returns."""
        header = piece.header
        who = self._node.identity
        if (header.node, header.epoch) == (who.node, who.epoch):
            raise Refused(
                f"{header.node}/{header.epoch}/{header.first}",
                "this is the log that I write myself: it was put back from an older copy. "
                "Stop the node and run 'ironbucket recover --new-epoch'.",
            )
        with self._delivering(header):
            known = self._sequence(header)
            entries = [entry for entry in piece.entries if entry.line.record.sequence > known]
            for entry in entries:
                self._check(entry.line.record, header)
            self._stage_all(entries)
            self._node.committer.submit(lambda transaction: self._append(transaction, header, piece.entries))

    def _delivering(self, header: Header) -> _StreamLock:
        directory = os.path.join(self._node.files.directory, "peers", header.node)
        return _StreamLock(directory, f"{header.epoch}.lock")

    def _sequence(self, header: Header) -> int:
        stream = f"{header.node}/{header.epoch}"
        return int(self.vector().get(stream, [0])[0])

    def _check(self, record: Record, header: Header) -> None:
        if record.ms > wall_ms() + MAX_SKEW_MS:
            raise Refused(
                f"{header.node}/{header.epoch}/{record.sequence}",
                f"its stamp is {(record.ms - wall_ms()) // 1000} s ahead of this node's clock: set the clocks right"
                " (it is offered again at each run)",
            )

    def _stage_all(self, entries: Iterable[wire.Entry]) -> None:
        for _ in self._pool.map(self._stage, entries):
            failpoints.hit("batch-payload-staged")

    def _stage(self, entry: wire.Entry) -> None:
        record, payload = entry.line.record, entry.payload
        if record.operation != PUT or payload is None or payload == wire.GONE:
            return
        place = (record.bucket, record.key or "", record.version)
        wire.check_place(record.bucket, record.version)
        name = f"{record.node}/{record.epoch}/{record.sequence}"
        layout, payloads = self._node.payloads.layout, self._node.payloads
        if payload == wire.SENT:
            if not os.path.lexists(layout.staged(*place)) and not os.path.lexists(layout.payload(*place)):
                raise ServiceUnavailable(f"the payload of {name} is not here yet")
            return
        data = payload if isinstance(payload, bytes) else b""
        if len(data) != record.size or not _etag_fits(record, data):
            raise Refused(name, "its payload is not what the record says")
        path = layout.staged(*place)
        payloads.discard(path)  # the remnant of a delivery that broke off
        fd = payloads.create(record.bucket, record.key or "", path)
        try:
            fsutil.write_all(fd, data)
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def _append(self, transaction: Transaction, header: Header, entries: list[wire.Entry]) -> None:
        """Under the log's lock: what continues the copy of this log is taken, what is known already is skipped."""
        head = heads.load(transaction.connection, header.node, header.epoch)
        if head.sequence == 0 and header.first > 1 and header.first != header.parent_sequence + 1:
            raise Refused(f"{header.node}/{header.epoch}/{header.first}", "the beginning of this log is not here")
        if head.sequence == 0:
            head = replace(head, sequence=header.first - 1, chain=header.chain)
        head = self._opened(head, header)
        for entry in entries:
            record = entry.line.record
            if record.sequence < head.sequence:
                continue
            if record.sequence == head.sequence:
                if entry.line.chain != head.chain:
                    raise _diverged(record)
                continue
            if record.sequence != head.sequence + 1:
                raise ServiceUnavailable(f"record {head.sequence + 1} of {header.node} has to come first")
            if head.sequence == header.first - 1 and head.chain != header.chain:
                raise _diverged(record)
            head = transaction.append(head, record, entry.line.raw, entry.line.chain)
            if record.operation == PUT:
                transaction.staged.add(record.bucket)

    def _opened(self, head: heads.Head, header: Header) -> heads.Head:
        active = self._node.files.segment(head)
        if active is None:
            active = self._node.files.begin(head, replace(header, first=head.sequence + 1, chain=head.chain))
        if head.offset == 0 or active.header.first != head.segment:
            return replace(head, segment=active.header.first, offset=active.size())
        return head


class _StreamLock:
    """One delivery of a log at a time, over all worker processes. Raises Busy."""

    def __init__(self, directory: str, name: str) -> None:
        fsutil.make_directory(directory)
        self._path = os.path.join(directory, name)
        self._fd = -1

    def __enter__(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise Busy from None

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _diverged(record: Record) -> Refused:
    return Refused(
        f"{record.node}/{record.epoch}/{record.sequence}",
        f"{EpochDiverged().message} Stop {record.node} and run 'ironbucket recover --new-epoch' there.",
    )


def _read_signed_body(environ: Environ) -> bytes:
    body = _read_body(environ)
    if hashlib.sha256(body).hexdigest() != environ["ironbucket.payload"]:
        raise wire.CorruptBatch("the body is not the one that was signed")
    return body


def _read_body(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > wire.MAX_BODY:
        raise wire.CorruptBatch(f"a batch of {length} bytes is too large")
    body = bytearray(length)
    view, at = memoryview(body), 0
    while at < length:
        count = environ["wsgi.input"].readinto(view[at:])
        if not count:
            raise wire.CorruptBatch("the batch was cut short")
        at += count
    return bytes(body)


def _stream(environ: Environ, fd: int, offset: int) -> None:
    """Append the body; what arrives before a break stays, so that the next attempt goes on from there."""
    remaining = int(environ.get("CONTENT_LENGTH") or 0)
    buffer = memoryview(bytearray(min(_CHUNK, remaining or 1)))
    os.lseek(fd, offset, os.SEEK_SET)
    while remaining:
        count = environ["wsgi.input"].readinto(buffer[: min(len(buffer), remaining)])
        if not count:
            return
        fsutil.write_all(fd, buffer[:count])
        remaining -= count
        failpoints.hit("payload-arriving")


def _check_etag(path: str, etag: str) -> None:
    if len(etag) != 32:
        return  # a manifest, or an ETag that is no MD5: the parts have theirs
    with open(path, "rb") as source:
        if hashlib.file_digest(source, "md5").hexdigest() != etag:
            os.unlink(path)
            raise wire.CorruptBatch("the payload that arrived is not the one that was stored; it will be sent anew")


def _part_etag(name: str) -> str:
    return name.split("~")[1] if "~" in name else ""


def _etag_fits(record: Record, data: bytes) -> bool:
    etag = record.etag or ""
    return len(etag) != 32 or hashlib.md5(data, usedforsecurity=False).hexdigest() == etag
