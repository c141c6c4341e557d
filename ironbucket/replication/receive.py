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
from ironbucket.clock import wall_ms
from ironbucket.errors import (
    AccessDenied,
    EpochDiverged,
    IncompleteBody,
    IronBucketError,
    LogBehindIndex,
    RequestTimeout,
    S3Error,
    ServiceUnavailable,
    StorageFull,
)
from ironbucket.node import heads, resync
from ironbucket.node.commit import Transaction
from ironbucket.replication import PREFIX, admit, digest, lend, wire
from ironbucket.replication.admit import Refused
from ironbucket.replication.arrive import Arrivals, Busy
from ironbucket.replication.peer import ACCESS_KEY, REGION, SERVICE
from ironbucket.replication.takeover import Takeover
from ironbucket.store.payloads import Payload
from ironbucket.verifier import Verifier
from ironbucket.wal.reader import chain_at, read_stream
from ironbucket.wal.record import PUT, Record
from ironbucket.wal.segment import Header
from ironbucket.wal.stream import ActiveSegment

if TYPE_CHECKING:
    from ironbucket.node.node import Node

log = logging.getLogger(__name__)

Environ = dict[str, Any]
Answer = tuple[int, "dict[str, Any] | Payload"]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

#: seconds for which a delivery waits for another one of the same log
_PATIENCE = 2.0
_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    503: "Service Unavailable",
}


class Receiver:
    """The WSGI application."""

    def __init__(self, node: Node) -> None:
        self._node = node
        secret = node.settings.cluster_secret
        self._verifier = Verifier(lambda key: secret if key == ACCESS_KEY and secret else None, REGION, SERVICE)
        self._pool = ThreadPoolExecutor(8, "payload")
        self._arrivals = Arrivals(node.payloads)
        self._takeover = Takeover(node, self._stage_all, self._state)
        self._routes: dict[tuple[str, str], Callable[[Environ, Mapping[str, str]], Answer]] = {
            ("GET", "vector"): self._get_vector,
            ("POST", "batch"): self._post_batch,
            ("GET", "payload"): self._get_payload,
            ("PUT", "payload"): self._put_payload,
            ("GET", "chain"): self._get_chain,
            ("GET", "object"): lambda _, query: lend.get_object(node, query),
            ("GET", "bucket"): lambda _, query: lend.get_bucket(node, query),
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
        except (KeyError, ValueError) as error:
            return 400, {"code": "BadRequest", "message": f"{type(error).__name__}: {error}"}
        except (IncompleteBody, RequestTimeout, StorageFull, ServiceUnavailable) as error:
            return 503, {"code": type(error).__name__, "message": error.message}
        except S3Error as error:
            return 403, {"code": error.code, "message": error.message}
        except IronBucketError as error:
            log.error("%s: %s", path, error)
            return 503, {"code": type(error).__name__, "message": error.message}
        except OSError as error:
            named = fsutil.named_error(error)
            if named is None:
                raise
            return 503, {"code": named.code, "message": named.message}

    def _authenticate(self, environ: Environ, path: str, query: str) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in environ["ironbucket.headers"]}
        if "authorization" not in headers:
            raise AccessDenied("This path is for the nodes of the cluster.")
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
        failpoints.hit("batch-taken")
        return 200, self._state()

    def _get_payload(self, _environ: Environ, query: Mapping[str, str]) -> Answer:
        return 200, {"size": self._arrivals.size(query)}

    def _put_payload(self, environ: Environ, query: Mapping[str, str]) -> Answer:
        return 200, {"size": self._arrivals.take(environ, query)}

    # -- a piece of a log ----------------------------------------------------------------------------------------------

    def _take(self, piece: wire.Piece) -> None:
        """Stage the payloads, then append and apply the lines: both durable when this returns."""
        header = piece.header
        admit.check_header(header)
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
                admit.check(entry.line.record)
                if entry.line.record.operation == PUT and entry.payload is None:
                    raise wire.CorruptBatch(f"{admit.place_of(entry.line.record)} came without its payload")
            self._stage_all(entries)
            failpoints.hit("batch-staged")
            self._node.committer.submit(lambda transaction: self._append(transaction, header, piece.entries))

    def _delivering(self, header: Header) -> _StreamLock:
        directory = os.path.join(self._node.files.directory, "peers", header.node)
        return _StreamLock(directory, f"{header.epoch}.lock")

    def _sequence(self, header: Header) -> int:
        stream = f"{header.node}/{header.epoch}"
        return int(self.vector().get(stream, [0])[0])

    def _stage_all(self, entries: Iterable[wire.Entry]) -> None:
        for _ in self._pool.map(self._arrivals.stage, entries):
            failpoints.hit("batch-payload-staged")

    def _append(self, transaction: Transaction, header: Header, entries: list[wire.Entry]) -> None:
        """Under the log's lock: what continues the copy of this log is taken, what is known already is skipped."""
        head = transaction.head(heads.load(transaction.connection, header.node, header.epoch))
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
            head = replace(head, segment=active.header.first, offset=self._end_of(head, active))
        if active.size() > head.offset:
            active.truncate(head.offset)  # lines of a process that died before its commit: they come again
        return head

    def _end_of(self, head: heads.Head, active: ActiveSegment) -> int:
        """Where the line of `head` ends in the active segment of its log."""
        if head.sequence < active.header.first:
            return active.start
        for line in read_stream(active.path, head.epoch, head.sequence - 1):
            return line.end
        raise LogBehindIndex


class _StreamLock:
    """One delivery of a log at a time, over all worker processes. Raises Busy when another one takes long."""

    def __init__(self, directory: str, name: str) -> None:
        fsutil.make_directory(directory)
        self._path = os.path.join(directory, name)
        self._fd = -1

    def __enter__(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(self._fd)
                    raise Busy from None
            time.sleep(0.005)

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
