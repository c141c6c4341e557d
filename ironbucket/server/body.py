"""`wsgi.input`: the body of one request, read from the socket into the caller's buffer as it is asked for.

Only threads of the pool read bodies: reading waits. The socket then has a timeout, and the loop does not watch it.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from ironbucket import errors
from ironbucket.server.answers import CONTINUE, Refusal
from ironbucket.server.limits import Limits
from ironbucket.server.parser import ChunkedDecoder

_PIECE = 64 * 1024
_NOTHING = memoryview(b"")


class RequestBody(Protocol):
    """What `wsgi.input` is, and what the server asks of it afterwards."""

    received: int

    def readinto(self, buffer: memoryview) -> int: ...
    def settle(self) -> bool: ...
    @property
    def consumed(self) -> bool: ...
    @property
    def leftover(self) -> bytes: ...


class Pace:
    """Ends a transfer whose peer is slower than allowed. Time counts only while this side waits for the peer."""

    __slots__ = ("_bytes", "_rate", "_waited", "_window")

    def __init__(self, limits: Limits) -> None:
        self._rate = limits.min_body_rate
        self._window = limits.rate_window
        self._waited = 0.0
        self._bytes = 0

    def too_slow(self, waited: float, count: int) -> bool:
        """`count` bytes came after `waited` seconds: has a window of waiting passed with less than the least?"""
        self._waited += waited
        self._bytes += count
        if self._waited < self._window:
            return False
        slow = self._bytes < self._rate * self._waited
        self._waited = 0.0
        self._bytes = 0
        return slow


class _Readable:
    """The rest of a file's interface, upon `readinto`."""

    __slots__ = ()

    def readinto(self, buffer: memoryview) -> int:
        raise NotImplementedError

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end; all that is left if `size` is negative or None."""
        pieces = []
        left = -1 if size is None else size
        while left != 0:
            piece = bytearray(_PIECE if left < 0 else min(left, 1 << 20))
            count = self.readinto(memoryview(piece))
            if not count:
                break
            pieces.append(bytes(memoryview(piece)[:count]))
            left -= count if left > 0 else 0
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        line = bytearray()
        most = -1 if size is None else size
        while most < 0 or len(line) < most:
            byte = self.read(1)
            line += byte
            if byte in (b"", b"\n"):
                break
        return bytes(line)

    def readlines(self, hint: int = -1) -> list[bytes]:  # noqa: ARG002 - PEP 3333: a server may ignore the hint
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


class NoBody(_Readable):
    """Of a request without a body. Has no state but what follows the request on the connection."""

    __slots__ = ("leftover", "received")
    consumed = True

    def __init__(self, leftover: bytes = b"") -> None:
        self.leftover = leftover
        self.received = 0

    def readinto(self, buffer: memoryview) -> int:  # noqa: ARG002
        return 0

    def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002
        return b""

    def settle(self) -> bool:
        return True


#: with nothing behind it, which is most of them
NO_BODY = NoBody()


class _Incoming(_Readable):
    """What a body with a length and a chunked one have in common: waiting for the peer."""

    __slots__ = ("_expects", "_limits", "_pace", "_sock", "_waiting", "failed", "received")

    def __init__(self, sock: socket.socket, limits: Limits, *, expects: bool) -> None:
        self._sock = sock
        self._limits = limits
        self._expects = expects
        self._pace = Pace(limits)
        self._waiting = False
        self.failed = False
        self.received = 0

    def _receive(self, buffer: memoryview) -> int:
        """At least one byte from the peer. Raises IncompleteBody, RequestTimeout."""
        if self.failed:
            raise errors.IncompleteBody
        sock = self._sock
        if not self._waiting:
            self._waiting = True
            sock.settimeout(self._limits.body_timeout)
        started = time.monotonic()
        try:
            if self._expects:
                self._expects = False
                sock.sendall(CONTINUE)
            count = sock.recv_into(buffer)
        except TimeoutError:
            self.failed = True
            raise errors.RequestTimeout from None
        except OSError:
            self.failed = True
            raise errors.IncompleteBody from None
        if not count:
            self.failed = True
            raise errors.IncompleteBody
        if self._pace.too_slow(time.monotonic() - started, count):
            self.failed = True
            raise errors.RequestTimeout
        return count

    def _available(self, buffer: memoryview) -> int:
        """What has arrived by now, without waiting; 0 for nothing."""
        if self._waiting:
            self._waiting = False
            self._sock.settimeout(0)
        try:
            return self._sock.recv_into(buffer)
        except OSError:
            return 0

    def _stop_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            self._sock.settimeout(0)


class SizedBody(_Incoming):
    """Of a request with Content-Length."""

    __slots__ = ("_buffered", "_left", "leftover")

    def __init__(self, sock: socket.socket, limits: Limits, length: int, data: bytes, *, expects: bool) -> None:
        """`data`: what has been received after the head."""
        super().__init__(sock, limits, expects=expects and not data)
        self._left = length
        self._buffered = memoryview(data)[:length]
        self.leftover = data[length:]

    def readinto(self, buffer: memoryview) -> int:
        """Fills `buffer` with what is there, at least one byte; 0 at the end. Raises IncompleteBody, RequestTimeout."""
        left = self._left
        buffer = memoryview(buffer)
        if not left or not buffer:
            return 0
        buffered = self._buffered
        if buffered:
            count = min(len(buffered), len(buffer))
            buffer[:count] = buffered[:count]
            self._buffered = buffered[count:]
        else:
            count = self._receive(buffer if len(buffer) <= left else buffer[:left])
        self._left = left - count
        self.received += count
        return count

    @property
    def consumed(self) -> bool:
        """Has the application read all of it?"""
        return not self._left

    def settle(self) -> bool:
        """Called after the application: is the connection fit for another request? Reads the last bytes of the body
        if that needs no waiting."""
        self._left -= len(self._buffered)
        self._buffered = _NOTHING
        if self.failed or (self._left and self._expects) or self._left > self._limits.drain_body:
            self._stop_waiting()
            return False
        if self._left:
            scratch = memoryview(bytearray(self._left))
            while self._left:
                count = self._available(scratch[: self._left])
                if not count:
                    return False
                self._left -= count
        self._stop_waiting()
        return True


class ChunkedBody(_Incoming):
    """Of a request with Transfer-Encoding: chunked."""

    __slots__ = ("_chunks", "_data", "_decoder", "leftover")

    def __init__(self, sock: socket.socket, limits: Limits, data: bytes, *, expects: bool) -> None:
        super().__init__(sock, limits, expects=expects and not data)
        self._decoder = ChunkedDecoder(limits)
        self._chunks: deque[memoryview] = deque()
        self._data = data
        self.leftover = b""

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """Lower-case names and values, after the end."""
        return self._decoder.trailers

    def readinto(self, buffer: memoryview) -> int:
        """As SizedBody's; InvalidRequest if the chunks are malformed."""
        buffer = memoryview(buffer)
        if not buffer:
            return 0
        while not self._chunks:
            if self._decoder.complete:
                return 0
            data = self._data
            self._data = b""
            if not data:
                piece = memoryview(bytearray(_PIECE))
                data = bytes(piece[: self._receive(piece)])
            self._decode(data)
        chunk = self._chunks[0]
        count = min(len(chunk), len(buffer))
        buffer[:count] = chunk[:count]
        if count == len(chunk):
            self._chunks.popleft()
        else:
            self._chunks[0] = chunk[count:]
        self.received += count
        return count

    def _decode(self, data: bytes) -> None:
        try:
            self.leftover = self._decoder.feed(data)
        except Refusal as refusal:
            self.failed = True
            raise refusal.error from None
        self._chunks.extend(map(memoryview, self._decoder.take()))

    @property
    def consumed(self) -> bool:
        """As SizedBody's."""
        return self._decoder.complete and not self._chunks

    def settle(self) -> bool:
        """As SizedBody's."""
        dropped = 0
        try:
            if self._data:
                self._decode(self._data)
                self._data = b""
            scratch = memoryview(bytearray(4096))
            while not (self._decoder.complete or self.failed or self._expects or dropped > self._limits.drain_body):
                count = self._available(scratch)
                if not count:
                    break
                dropped += count
                self._decode(bytes(scratch[:count]))
        except errors.S3Error:
            self.failed = True
        self._chunks.clear()
        self._stop_waiting()
        return self._decoder.complete and not self.failed
