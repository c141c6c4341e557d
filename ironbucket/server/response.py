"""One request and its answer: calls the application and sends what it returns. PEP 3333.

An answer that is at hand (a list of bytes, a small file in memory, any HEAD) becomes one piece of bytes and one send.
Others are streamed by a thread of the pool: extents of files by sendfile, iterators piece by piece, chunked when
they tell no length.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from ironbucket import errors
from ironbucket.server import answers
from ironbucket.server.body import Pace, RequestBody
from ironbucket.server.request import Request
from ironbucket.server.sendfile import Abort, Sender, read_cached, read_extents

if TYPE_CHECKING:
    from ironbucket.server.connection import Connection

_log = logging.getLogger("ironbucket.server")
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes] | None]


class Exchange:
    """A request and its answer."""

    __slots__ = (
        "_headers",
        "_written",
        "body",
        "bytes_out",
        "conn",
        "head_sent",
        "keep_alive",
        "request",
        "started",
        "status",
    )

    def __init__(self, conn: Connection, request: Request, body: RequestBody) -> None:
        self.conn = conn
        self.request = request
        self.body = body
        self.keep_alive = request.keep_alive
        self.started = time.monotonic()
        self.status = ""
        self.bytes_out = 0  # of the answer's body
        self.head_sent = False
        self._headers: list[tuple[str, str]] = []
        self._written: list[bytes] | None = None

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], Any]:
        """PEP 3333."""
        if exc_info is not None and self.head_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.status and exc_info is None:
            raise RuntimeError("start_response was called twice")
        self.status = status
        self._headers = headers
        return self._write

    def _write(self, data: bytes) -> None:
        """PEP 3333's write(), for old applications: collects."""
        if self._written is None:
            self._written = []
        self._written.append(data)

    # In the loop

    def at_hand(self, application: Application) -> tuple[bytes | None, Any]:
        """Call the application without waiting. Gives the whole answer, or None and what the application returned:
        None again if it wants to be called in a thread."""
        environ = self.request.environ
        result: Any = None
        try:
            result = application(environ, self.start_response)
            if result is None:
                self.status = ""
                return None, None
            data = self._whole(result, wait=False)
            if data is None:
                return None, result
        except Exception as error:  # noqa: BLE001 - the application's failure is an answer
            data = self.failure(error)
        close_result(result)
        return data, None

    # In a thread

    def run(self) -> None:
        """Call the application and send its answer."""
        self.request.environ["ironbucket.inline"] = False
        try:
            result: Any = self.conn.server.application(self.request.environ, self.start_response)
        except Exception as error:  # noqa: BLE001 - as above
            self.keep_alive = self.body.settle() and self.keep_alive
            self.conn.send_from_thread(self, self.failure(error))
            return
        self.answer(result)

    def answer(self, result: Any) -> None:
        """Send what the application returned."""
        conn = self.conn
        try:
            if type(result) in (list, tuple) or hasattr(result, "extents") or (self.status and self._bodiless()):
                self.keep_alive = self.body.settle() and self.keep_alive
            data = self._whole(result, wait=True)
            if data is None:
                extents = getattr(result, "extents", None)
                if extents is not None:
                    head = self._encode(answers.Head(self._headers), sum(extent[2] for extent in extents))
                    self.head_sent = True
                    conn.send_files(self, Sender(conn.sock, head, extents, conn.limits), result)
                    return  # who sends the last byte closes the result
                self._iterate(result)
        except Exception as error:  # noqa: BLE001 - as above
            close_result(result)
            if self.head_sent:
                if not isinstance(error, (Abort, OSError)):  # the client's doing, or a file's
                    _log.error("request %s failed half-way", self.request.request_id, exc_info=error)
                conn.abort(self, error)
                return
            data = self.failure(error)
        else:
            close_result(result)
        if data is None:
            conn.finished(self)
        else:
            conn.send_from_thread(self, data)

    def _whole(self, result: Any, *, wait: bool) -> bytes | None:
        """The complete answer, if it is at hand. ValueError if the application contradicts itself."""
        if self._written is not None:
            return None
        bodiless = self._bodiless()
        body: Any = b""  # bytes-like
        size: int | None = None
        kind = result.__class__
        if kind is list or kind is tuple:
            body = result[0] if len(result) == 1 else b"".join(result)
            size = len(body)
        else:
            extents: Any = getattr(result, "extents", None)
            if extents is not None:
                size = extents[0][2] if len(extents) == 1 else sum(extent[2] for extent in extents)
            if not bodiless:
                if size is None or size > self.conn.limits.inline_body:
                    return None
                body = read_extents(extents) if wait or len(extents) != 1 else read_cached(*extents[0])
                if body is None:
                    return None
        if not self.status:
            raise RuntimeError("the application has not called start_response")
        head = self._encode(answers.Head(self._headers), size)
        if bodiless:
            return head
        self.bytes_out = len(body)
        return b"".join((head, body))

    def _bodiless(self) -> bool:
        return self.request.method == "HEAD" or self.status[:3] in ("204", "304")

    def _encode(self, head: answers.Head, size: int | None, extra: str = "") -> bytes:
        """The head of an answer whose body has `size` bytes, if that is known."""
        request = self.request
        if head.length != size and size is not None and self.status[:3] not in ("204", "304"):
            if head.length is None:
                extra += f"Content-Length: {size}\r\n"
            elif request.method != "HEAD":
                raise ValueError(f"the body has {size} bytes, its Content-Length says {head.length}")
        if head.close or self.conn.server.draining:
            self.keep_alive = False
        connection = "close"
        if self.keep_alive:
            connection = "" if request.http11 else "keep-alive"
        return head.encode(self.status, request.request_id, connection, extra=extra)

    def _iterate(self, result: Iterable[bytes]) -> None:
        """Send an iterator's pieces, waiting for the client."""
        pieces = iter(result)
        first = next((piece for piece in pieces if piece), b"")  # start_response may be called as late as here
        if self._written:
            first = b"".join([*self._written, first])
        if not self.status:
            raise RuntimeError("the application has not called start_response")
        # an iterator may still read the request's body between its pieces, so nothing of it is dropped here
        self.keep_alive = self.keep_alive and self.body.consumed
        head = answers.Head(self._headers)
        chunked = head.length is None and self.request.http11
        if head.length is None and not chunked:
            self.keep_alive = False  # the end of the connection is the end of the body
        data = self._encode(head, None, "Transfer-Encoding: chunked\r\n" if chunked else "")
        self.head_sent = True
        sock = self.conn.sock
        sock.settimeout(self.conn.limits.send_timeout)
        if self._bodiless():
            sock.sendall(data)
        else:
            self._send_pieces(data, chain((first,), pieces), chunked, head.length)
        sock.settimeout(0)  # as the loop needs it

    def _send_pieces(self, data: bytes, pieces: Iterator[bytes], chunked: bool, length: int | None) -> None:
        sock = self.conn.sock
        pace = Pace(self.conn.limits)
        for piece in pieces:
            if piece:
                self.bytes_out += len(piece)
                if length is not None and self.bytes_out > length:
                    raise Abort("the body is longer than its Content-Length")
                data += b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            if data:
                started = time.monotonic()
                sock.sendall(data)
                if pace.too_slow(time.monotonic() - started, len(data)):
                    raise Abort("the client takes the answer too slowly")
                data = b""
        if length is not None and self.bytes_out != length:
            raise Abort("the body is shorter than its Content-Length")
        if chunked:
            sock.sendall(b"0\r\n\r\n")

    def failure(self, error: BaseException) -> bytes:
        """The answer to a request whose application failed."""
        _log.error("request %s failed", self.request.request_id, exc_info=error)
        return self.refuse(500, errors.InternalError())

    def refuse(self, status: int, error: errors.S3Error) -> bytes:
        """An answer of the server's own."""
        self.status = str(status)
        environ = self.request.environ
        data = answers.refusal(
            status, error, self.request.request_id, resource=environ["PATH_INFO"], close=not self.keep_alive
        )
        if self.request.method == "HEAD":
            return data[: data.index(b"\r\n\r\n") + 4]
        self.bytes_out = len(data)
        return data


def close_result(result: Any) -> None:
    """PEP 3333: the server calls close(), whatever happened."""
    if result.__class__ is list:
        return
    close = getattr(result, "close", None)
    if close is not None:
        try:
            close()
        except Exception:  # noqa: BLE001 - the answer has been given; closing is all that went wrong
            _log.exception("closing a response failed")
