"""The active segment of one stream: append, make durable, take back, rotate.

Nothing here locks or decides; callers hold the log's lock (`ironbucket.wal.lock`) and say at which offset the
next line goes. What was appended and not yet synced can be taken back with `truncate`.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import BinaryIO

from ironbucket import failpoints, fsutil
from ironbucket.errors import LogDamaged
from ironbucket.wal.reader import last_line
from ironbucket.wal.segment import Header, closed_name, read_header, segments

_SET_ASIDE = re.compile(r"\.(torn|damaged)-[^/]*$|\.tmp$")


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

    def cut(self, offset: int) -> None:
        """Forget what lies beyond `offset`, where the next append goes: lines that nobody was told of."""
        if self.size() > offset:
            self.truncate(offset)

    def truncate(self, offset: int) -> None:
        """Take back what follows `offset`, durably."""
        os.ftruncate(self._fd, offset)
        os.fsync(self._fd)

    def reader(self) -> BinaryIO:
        """The same file, for reading."""
        return open(self.path, "rb")

    def is_current(self) -> bool:
        """Whether the path still names this very file: another process may have rotated it."""
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))

    def rotate(self, first: int, chain: str) -> ActiveSegment:
        """Close this segment and begin the next, whose first record will be `first`, chained to `chain`.

        The path names one or the other at any moment, and a closed segment is never replaced. After an OSError, or
        a crash, this segment is still the active one; it may have its closed name already. Raises LogDamaged when that
        name belongs to another file.
        """
        header = Header(self.header.node, self.header.epoch, first, chain)
        closed = closed_name(self.path, self.header.epoch, self.header.first)
        os.fsync(self._fd)
        try:
            os.link(self.path, closed)
        except FileExistsError:  # from an attempt that was cut short
            if not os.path.samestat(os.stat(closed), os.fstat(self._fd)):
                raise LogDamaged(closed, 0, f"it is in the place where {self.path} has to go") from None
        failpoints.hit("log-closed")
        line = header.encode()
        fsutil.replace_file(self.path, line)
        failpoints.hit("log-rotated")
        self.close()
        return ActiveSegment(self.path, header, len(line), _open(self.path))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def moved_away(path: str) -> list[tuple[str, Header]]:
    """Segments that were taken out of the active one's place by hand: ``mv wal.log wal.log.old; touch wal.log``."""
    directory, base = os.path.split(path)
    found = []
    for name in os.listdir(directory):
        if name.startswith(base + ".") and not _SET_ASIDE.search(name):
            with contextlib.suppress(OSError, LogDamaged):
                found.append((os.path.join(directory, name), read_header(os.path.join(directory, name))[0]))
    return found


def resume(path: str, node: str, epoch: str) -> ActiveSegment | None:
    """A new active segment where the old one is gone: it continues the newest segment of the epoch that is left.

    One that was only moved away gets the name of a closed segment. None when nothing of the epoch is left. Raises
    LogDamaged, FileExistsError (the active one is there).
    """
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(path):
            raise FileExistsError(path)
        os.unlink(path)
    for place, header in moved_away(path):
        closed = closed_name(path, epoch, header.first)
        if (header.node, header.epoch) == (node, epoch) and not os.path.exists(closed):
            os.rename(place, closed)
    files = segments(path, epoch)
    if not files:
        return None
    header, last = last_line(files[-1])
    first, chain = (last.record.sequence + 1, last.chain) if last else (header.first, header.chain)
    if not last:  # an empty one is begun again, and must not be in the way when this one is closed
        os.rename(files[-1].path, path)
        return ActiveSegment.open(path)
    return ActiveSegment.create(path, Header(node, epoch, first, chain))


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except IsADirectoryError:
        raise LogDamaged(path, 0, "a directory is in the place of the log") from None
