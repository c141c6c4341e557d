"""The log's lock: one holder over all processes and threads.

`filelock.FileLock` polls; its `lock_descriptor` on a descriptor that is kept open costs two microseconds, and
waiting in the kernel is fair. Threads queue on a mutex first, so that one thread per process waits for the file.
"""

from __future__ import annotations

import fcntl
import os
import threading
from types import TracebackType

from filelock import lock_descriptor, unlock_descriptor

from ironbucket import fsutil


class LogLock:
    """``with LogLock(path):`` as often as wanted; not reentrant. The kernel releases it when the process dies."""

    def __init__(self, path: str) -> None:
        fsutil.make_directory(os.path.dirname(path))
        self.path = path
        self._mutex = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def __enter__(self) -> LogLock:
        self._mutex.acquire()
        try:
            if not lock_descriptor(self._fd, blocking=False):
                # same lock, waited for in the kernel: filelock's own blocking form sleeps between attempts
                fcntl.flock(self._fd, fcntl.LOCK_EX)
        except BaseException:
            self._mutex.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unlock_descriptor(self._fd)
        self._mutex.release()

    def close(self) -> None:
        os.close(self._fd)
