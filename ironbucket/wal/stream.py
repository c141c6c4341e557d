"""The active segment of one stream: append, make durable, take back, rotate.

Nothing here locks or decides; callers hold the log's lock (`ironbucket.wal.lock`) and say at which offset the
next line goes. What was appended and not yet synced can be taken back with `truncate`.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from ironbucket import failpoints, fsutil
from ironbucket.errors import LogDamaged
from ironbucket.wal.segment import Header, closed_name, read_header


class ActiveSegment:
    """An open active segment."""

    def __init__(self, path: str, header: Header, start: int, fd: int) -> None:
        self.path, self.header, self.start, self._fd = path, header, start, fd

    @classmethod
    def create(cls, path: str, header: Header) -> ActiveSegment:
        """A new, durable, empty segment. Replaces nothing: raises FileExistsError."""
        if os.path.exists(path):
            raise FileExistsError(path)
        fsutil.make_directory(os.path.dirname(path))
        line = header.encode()
        fsutil.replace_file(path, line)
        return cls(path, header, len(line), _open(path))

    @classmethod
    def open(cls, path: str) -> ActiveSegment:
        """Raises FileNotFoundError, LogDamaged."""
        header, start = read_header(path)
        return cls(path, header, start, _open(path))

    def size(self) -> int:
        """Bytes in the file, the header included."""
        return os.fstat(self._fd).st_size

    def append(self, data: bytes, offset: int) -> None:
        """Write whole lines at `offset`. On an OSError (a full disk) nothing of them stays."""
        failpoints.hit("log-append")
        try:
            view = memoryview(data)
            at = offset
            while view:
                written = os.pwrite(self._fd, view, at)
                view, at = view[written:], at + written
        except OSError:
            os.ftruncate(self._fd, offset)
            raise
        failpoints.hit("log-appended")

    def sync(self) -> None:
        """Return when all that was appended is on disk."""
        os.fdatasync(self._fd)
        failpoints.hit("log-synced")

    def truncate(self, offset: int) -> None:
        """Take back what follows `offset`, durably."""
        os.ftruncate(self._fd, offset)
        os.fsync(self._fd)

    def reader(self) -> BinaryIO:
        """The same file, for reading."""
        return open(self.path, "rb")

    def rotate(self, first: int, chain: str) -> ActiveSegment:
        """Close this segment and begin the next, whose first record will be `first`, chained to `chain`."""
        os.fsync(self._fd)
        os.rename(self.path, closed_name(self.path, self.header.epoch, self.header.first))
        self.close()
        return ActiveSegment.create(self.path, Header(self.header.node, self.header.epoch, first, chain))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except IsADirectoryError:
        raise LogDamaged(path, 0, "a directory is in the place of the log") from None
