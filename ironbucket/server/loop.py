"""One thread, one epoll: accepts, tells connections when they can go on, and ends those whose time is over."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ironbucket import errors
from ironbucket.server import answers
from ironbucket.server.connection import BUSY, IDLE, Connection
from ironbucket.server.limits import Limits
from ironbucket.server.listen import ignore_new_clients

if TYPE_CHECKING:
    from ironbucket.server.httpd import Server

_log = logging.getLogger("ironbucket.server")
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_ACCEPT_AT_ONCE = 64
#: seconds without accepting, after descriptors ran out
_PAUSE = 0.2
#: seconds from a client's first packet until its connection is in the queue
_HANDSHAKE = 0.1
_TICK = 1.0
_TICK_DRAINING = 0.05


class Loop:
    """Connections by descriptor. Any thread may call `watch`, `unwatch` and `forget`; the rest is for run's only."""

    def __init__(self, server: Server, limits: Limits, on_tick: Callable[[], None]) -> None:
        """`on_tick` is called about once a second."""
        self._server = server
        self._limits = limits
        self._on_tick = on_tick
        self._epoll = select.epoll()
        self._wake_out, self._wake_in = socket.socketpair()
        for side in (self._wake_in, self._wake_out):
            side.setblocking(False)
        self._epoll.register(self._wake_out.fileno(), select.EPOLLIN)
        self._reserve: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._listener: socket.socket | None = None
        self._accepting = False
        self._resume_at = 0.0
        self._drain_from: float | None = None
        self._drain_until: float | None = None
        self.connections: dict[int, Connection] = {}
        self.now = time.monotonic()

    @property
    def wake_fd(self) -> int:
        """A descriptor; a byte written to it ends the loop's sleep. For signal.set_wakeup_fd."""
        return self._wake_in.fileno()

    def wake(self) -> None:
        with suppress(BlockingIOError):
            self._wake_in.send(b"\0")

    def listen(self, listener: socket.socket) -> None:
        """Accept from `listener`, which must not block."""
        self._listener = listener
        self._accepting = True
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def add(self, conn: Connection) -> None:
        self.connections[conn.fd] = conn
        self._epoll.register(conn.fd, select.EPOLLIN)

    def watch(self, conn: Connection, *, writing: bool) -> None:
        """The loop shall serve `conn` from now on. The caller must not touch it any more."""
        try:
            self._epoll.register(conn.fd, select.EPOLLOUT if writing else select.EPOLLIN)
        except (OSError, ValueError):  # the loop has ended
            conn.close()

    def rewatch(self, conn: Connection, *, writing: bool) -> None:
        self._epoll.modify(conn.fd, select.EPOLLOUT if writing else select.EPOLLIN)

    def unwatch(self, conn: Connection) -> None:
        """Somebody else serves `conn` until `watch`."""
        self._epoll.unregister(conn.fd)

    def forget(self, conn: Connection) -> None:
        """`conn` closes; epoll forgets a closed descriptor by itself."""
        self.connections.pop(conn.fd, None)

    def run(self) -> None:
        """Serve; after `drain`, until all is answered or the time is up."""
        next_tick = 0.0
        poll = self._epoll.poll
        connections = self.connections
        while True:
            tick = _TICK if self._drain_until is None else _TICK_DRAINING
            events = poll(tick if self._accepting else min(tick, _PAUSE))
            now = self.now = time.monotonic()
            for fd, _ in events:
                conn = connections.get(fd)
                if conn is not None:
                    self._ready(conn)
                elif self._listener is not None and fd == self._listener.fileno():
                    self._accept()
                elif fd == self._wake_out.fileno():
                    with suppress(BlockingIOError):
                        self._wake_out.recv(4096)
                    next_tick = 0.0
            if not self._accepting and self._listener is not None and now >= self._resume_at:
                self._accepting = True
                self._epoll.register(self._listener.fileno(), select.EPOLLIN)
            if now < next_tick:
                continue
            next_tick = now + (_TICK if self._drain_until is None else _TICK_DRAINING)
            self._tick(now)
            if self._drain_until is not None and self._drained(now, self._drain_until):
                return

    def _ready(self, conn: Connection) -> None:
        try:
            conn.ready()
        except Exception:  # noqa: BLE001 - one connection's failure must not end the loop, which is everyone's
            _log.exception("a connection failed")
            conn.close()

    def _tick(self, now: float) -> None:
        self._on_tick()
        for conn in list(self.connections.values()):
            if conn.deadline <= now and conn.state != BUSY:
                try:
                    conn.expire()
                except Exception:  # noqa: BLE001 - as above
                    _log.exception("a connection failed")
                    conn.close()
        if self._reserve is None:
            with suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    # Accepting

    def _accept(self, most: int = _ACCEPT_AT_ONCE) -> None:
        listener = self._listener
        for _ in range(most):
            if listener is None:
                return
            try:
                sock, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    _log.warning("accept failed: %s", error)
                    return
                self._exhausted(listener)
                return
            if len(self.connections) >= self._limits.max_connections and not self._shed():
                _turn_away(sock)
                continue
            self._adopt(sock, address)

    def _adopt(self, sock: socket.socket, address: tuple[str, int]) -> None:
        try:
            sock.setblocking(False)
            base = self._server.base.copy()
            base["REMOTE_ADDR"] = address[0]
            base["REMOTE_PORT"] = str(address[1])
            self.add(Connection(self._server, sock, base))
        except OSError:
            sock.close()

    def _exhausted(self, listener: socket.socket) -> None:
        """No descriptor is left. Tell one client so, free some that idle, and pause: epoll would not stop reporting."""
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
            with suppress(OSError):
                _turn_away(listener.accept()[0])
            with suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._shed()
        if self._accepting:
            self._epoll.unregister(listener.fileno())
            self._accepting = False
        self._resume_at = self.now + _PAUSE

    def _shed(self) -> bool:
        """Close the connections that have idled longest, a sixteenth of all that idle. Says whether there was any."""
        idle = [conn for conn in list(self.connections.values()) if conn.state == IDLE and not conn.internal]
        idle.sort(key=lambda conn: conn.deadline)
        most = len(idle) // 16 + 1
        shed = 0
        for conn in idle:
            if shed < most and conn.is_silent():
                conn.close()
                shed += 1
        return bool(shed)

    # Ending

    def drain(self, until: float) -> None:
        """Accept nothing more, and end what is under way, by `until` (monotonic). A signal handler may call this."""
        self._drain_until = until
        self.wake()

    def _drained(self, now: float, until: float) -> bool:
        if self._drain_from is None:
            self._drain_from = now
            if self._listener is not None:
                ignore_new_clients(self._listener)
        if self._listener is not None and now >= self._drain_from + _HANDSHAKE:
            self._accept(1 << 16)  # who is in the queue was told that we listen
            listener, self._listener = self._listener, None
            if self._accepting:
                self._epoll.unregister(listener.fileno())
            listener.close()
        for conn in list(self.connections.values()):
            if conn.state == IDLE and (conn.internal or now >= self._drain_from + self._limits.drain_idle):
                conn.close()
        return (self._listener is None and not self.connections) or now >= until

    def close(self) -> None:
        """Cut off what is left."""
        for conn in list(self.connections.values()):
            conn.cut_off()

    def release(self) -> None:
        """Give back the descriptors. After this no connection may be watched."""
        self._epoll.close()
        self._wake_in.close()
        self._wake_out.close()
        if self._listener is not None:
            self._listener.close()
        if self._reserve is not None:
            os.close(self._reserve)


def _turn_away(sock: socket.socket) -> None:
    """Tell a client that there is no room. It has asked nothing yet, so there is nothing to read."""
    with suppress(OSError):
        sock.setblocking(False)
        sock.send(answers.refusal(503, errors.SlowDown(), answers.new_request_id()))
    sock.close()
