"""A process that must not outlive the one that started it: the kernel sends it a signal when that one is gone.

prctl(2), PR_SET_PDEATHSIG. It holds also for a parent that was killed with SIGKILL and could not tell anyone.
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def end_with(parent: int, number: int = signal.SIGTERM) -> None:
    """To be called in the child, right after the fork: get signal `number` when process `parent` ends.

    It counts from the thread that forked, which therefore has to be one that lives as long as its process.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was told
        os.kill(os.getpid(), number)
