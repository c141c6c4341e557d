"""Durable file-system steps: each returns when what it did will survive a power cut.

Background: Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014); fsync(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

from ironbucket.errors import ServiceUnavailable, StorageFull


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Give the two failures that pass by themselves their names: StorageFull and ServiceUnavailable."""
    try:
        yield
    except OSError as error:
        named = named_error(error)
        if named is None:
            raise
        raise named from error


def named_error(error: OSError) -> StorageFull | ServiceUnavailable | None:
    """The S3 error for an OSError that will pass, or None."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull()
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return ServiceUnavailable("The node has run out of file descriptors. Try again.")
    return None


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`; a short write is continued (write(2) may stop early on a full disk)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_directory(path: str) -> None:
    """Make the entries of a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


#: file systems that make a new file's name durable together with the file: see docs/adr/0004
_JOURNALED = frozenset(("ext4", "xfs", "btrfs"))


def names_follow_files(path: str) -> bool:
    """Whether fsync(2) of a new file below `path` also makes its directory entry durable."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for mount in mounts:
            fields = mount.split(" ")
            if fields[2] == number:
                return fields[fields.index("-") + 1] in _JOURNALED
    return False


def make_directory(path: str, mode: int = 0o750) -> None:
    """Create a directory and its missing parents, durably. An existing one is left as it is."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path) or "."
    make_directory(parent, mode)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)
    sync_directory(parent)


def replace_file(path: str, data: bytes, mode: int = 0o640) -> None:
    """Put `data` under `path`, whole or not at all, durably."""
    temporary = f"{path}.{os.getpid()}-{threading.get_native_id()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path) or ".")


def read_at(fd: int, offset: int, count: int) -> bytes:
    """Exactly `count` bytes from `offset`, or fewer at the end of the file."""
    chunks = []
    while count > 0:
        chunk = os.pread(fd, count, offset)
        if not chunk:
            break
        chunks.append(chunk)
        offset += len(chunk)
        count -= len(chunk)
    return b"".join(chunks)
