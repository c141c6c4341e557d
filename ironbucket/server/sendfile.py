"""Sends bytes and parts of files to a socket that does not block, and can be left off and taken up again.

Files go from the page cache to the socket without passing through this process: sendfile(2).
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ironbucket.server.body import Pace
from ironbucket.server.limits import Limits

#: file descriptor (or what has a `fileno` that opens it when it is needed), offset, count
Extent = tuple[Any, int, int]
_MOST = 1 << 30
#: preadv2(2): do not wait for the disk, answer EAGAIN if the bytes are not in memory
_NOWAIT = os.RWF_NOWAIT


def descriptor(file: Any) -> int:
    """The descriptor of an extent's file. A long multipart object opens its parts one after the other."""
    return file if type(file) is int else int(file.fileno())


class Abort(Exception):
    """The answer cannot be completed: the connection is reset, so that no client takes a part for the whole."""


class FileBody:
    """A response body that is parts of open files. Any object with `extents` and `close` will do as well."""

    def __init__(self, extents: Sequence[Extent], on_close: Callable[[], None]) -> None:
        self.extents = extents
        self.close = on_close

    def __iter__(self) -> Iterator[bytes]:
        """For WSGI servers that do not know `extents`."""
        for fd, offset, count in self.extents:
            position, end = offset, offset + count
            while position < end:
                piece = os.pread(descriptor(fd), min(end - position, 1 << 20), position)
                if not piece:
                    raise Abort("a file is shorter than its extent")
                yield piece
                position += len(piece)


def read_extents(extents: Sequence[Extent]) -> bytes:
    """The bytes of small extents. Raises Abort."""
    pieces = []
    for fd, offset, count in extents:
        piece = os.pread(descriptor(fd), count, offset)
        if len(piece) != count:
            raise Abort("a file is shorter than its extent")
        pieces.append(piece)
    return b"".join(pieces)


def read_cached(fd: int, offset: int, count: int) -> bytes | bytearray | None:
    """The bytes of a small extent; None when reading them would wait for the disk. Raises Abort."""
    buffer = bytearray(count)
    try:
        if os.preadv(fd, (buffer,), offset, _NOWAIT) == count:
            return buffer
    except BlockingIOError:
        return None
    except OSError:  # a file system that does not know the flag
        return read_extents([(fd, offset, count)])
    return read_extents([(fd, offset, count)])  # the end of the file, or the end of what is cached


class Sender:
    """What is left to send of one answer: bytes, then extents."""

    __slots__ = ("_bytes", "_extents", "_pace", "_sock", "_waiting_since", "body_sent")

    def __init__(self, sock: socket.socket, data: bytes, extents: Sequence[Extent], limits: Limits) -> None:
        self._sock = sock
        self._bytes = memoryview(data)
        self._extents = [extent for extent in reversed(extents) if extent[2]]
        self._pace = Pace(limits)
        self._waiting_since: float | None = None
        self.body_sent = 0  # bytes of extents

    @property
    def reads_files(self) -> bool:
        return bool(self._extents)

    def run(self, patience: float) -> bool:
        """Send until all is sent (True) or the peer has taken nothing for `patience` seconds (False).

        Raises Abort if a file is shorter than promised or the peer too slow, OSError if the peer is gone.
        """
        poll: select.poll | None = None
        while True:
            try:
                done = self._send_some()
            except BlockingIOError:
                if self._waiting_since is None:
                    self._waiting_since = time.monotonic()
                if not patience:
                    return False
                if poll is None:
                    poll = select.poll()
                    poll.register(self._sock.fileno(), select.POLLOUT)
                if not poll.poll(patience * 1000):
                    return False
                continue
            if done is None:
                return True
            if self._waiting_since is not None:
                waited = time.monotonic() - self._waiting_since
                self._waiting_since = None
                if self._pace.too_slow(waited, done):
                    raise Abort("the client takes the answer too slowly")

    def _send_some(self) -> int | None:
        """Bytes that the socket took; None when all is sent."""
        if self._bytes:
            done = self._sock.send(self._bytes, socket.MSG_MORE if self._extents else 0)
            self._bytes = self._bytes[done:]
            return done
        if not self._extents:
            return None
        fd, offset, count = self._extents[-1]
        done = os.sendfile(self._sock.fileno(), descriptor(fd), offset, min(count, _MOST))
        if not done:
            raise Abort("a file is shorter than its extent")
        self.body_sent += done
        if done == count:
            self._extents.pop()
        else:
            self._extents[-1] = (fd, offset + done, count - done)
        return done
