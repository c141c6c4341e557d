"""Tells systemd how the service is: sd_notify(3), a datagram to the socket named by NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


class Notifier:
    """Sends nothing when the service manager has not asked for it."""

    def __init__(self, address: str | None = None) -> None:
        """`address` is taken from the environment unless given; a leading @ means an abstract socket."""
        address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def send(self, **variables: str | int) -> None:
        """For example send(READY=1, STATUS="serving")."""
        if self._address:
            text = "\n".join(f"{name}={value}" for name, value in variables.items())
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(text.encode(), self._address)


def watchdog_seconds() -> float | None:
    """How often systemd wants WATCHDOG=1 at least, sd_watchdog_enabled(3); None when it does not."""
    pid = os.environ.get("WATCHDOG_PID")
    usec = os.environ.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1_000_000 or None
