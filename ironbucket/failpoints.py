"""Named points at which a test can kill the process or make a call fail.

``FAILPOINT=log-appended:kill`` ends the process with SIGKILL the first time the point is reached;
``FAILPOINT=log-synced:kill:5`` the fifth time; ``:enospc`` and ``:eio`` raise that OSError instead, from the
given time on, for as long as the variable's file form ``FAILPOINT_FILE`` (whose content is the same) says so.
Costs one comparison when unset.

The idea is FreeBSD's fail(9); the points of the write path, in order, are listed in docs/guarantees.md.
"""

from __future__ import annotations

import errno
import os
import signal

_armed: dict[str, tuple[str, int]] = {}
_hits: dict[str, int] = {}
_file = os.environ.get("FAILPOINT_FILE", "")
_ACTIONS = {"enospc": errno.ENOSPC, "eio": errno.EIO, "emfile": errno.EMFILE}


def _parse(text: str) -> dict[str, tuple[str, int]]:
    armed = {}
    for item in text.split(","):
        name, _, rest = item.strip().partition(":")
        action, _, count = rest.partition(":")
        if name:
            armed[name] = (action or "kill", int(count or 1))
    return armed


_armed = _parse(os.environ.get("FAILPOINT", ""))
_enabled = bool(_armed or _file)


def hit(name: str) -> None:
    """Do what was asked for at the point `name`: nothing, unless armed.

    Raises OSError for the actions enospc, eio and emfile.
    """
    if _enabled:
        _reached(name)


def _reached(name: str) -> None:
    armed = _armed
    if _file:
        try:
            with open(_file, encoding="ascii") as source:
                armed = _parse(source.read())
        except FileNotFoundError:
            armed = {}
    if name not in armed:
        return
    action, count = armed[name]
    _hits[name] = _hits.get(name, 0) + 1
    if _hits[name] < count:
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    number = _ACTIONS[action]
    raise OSError(number, os.strerror(number), f"failpoint {name}")
