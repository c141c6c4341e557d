"""The master process: owns the port, forks the workers, asks them how they are, restarts them, passes signals on.

    SIGTERM, SIGINT   drain: each worker finishes what is under way; a second one ends all at once
    SIGHUP            reload, here and in each worker

Over a socket pair the master sends each worker a health request, which the worker's loop answers as any other. The
first answer says that the worker serves; when answers stay away, the worker hangs and is replaced. systemd's watchdog
is fed by these answers and nothing else.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from traceback import print_exc

from ironbucket import lifeline
from ironbucket.server import worker
from ironbucket.server.health import PATH as HEALTH
from ironbucket.server.limits import Limits
from ironbucket.server.listen import listeners
from ironbucket.server.notify import Notifier, watchdog_seconds
from ironbucket.server.worker import Application

__all__ = ["Application", "Limits", "run"]

_log = logging.getLogger("ironbucket.server")
_QUESTION = f"GET {HEALTH} HTTP/1.1\r\nHost: master\r\n\r\n".encode()
_CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_ASK_EVERY = 1.0
#: a worker that has lived so long is replaced at once when it dies
_STEADY = 5.0
_BACKOFF_MAX = 5.0
_STARTING_EXTENSION = 30


@dataclass
class _Slot:
    """A worker's place. Times are monotonic seconds."""

    number: int
    listener: socket.socket
    pid: int = 0
    control: socket.socket | None = None
    started: float = 0.0
    asked: float = 0.0
    answered: float = 0.0
    open_question: bool = False
    serving: bool = False
    deaths: int = 0  # in a row, each soon after its start
    restart_at: float = 0.0


def run(
    start: Callable[[int], Application],
    *,
    host: str,
    port: int,
    workers: int = 1,
    limits: Limits | None = None,
    access_log: bool = True,
    reload: Callable[[], None] | None = None,
    ready: Callable[[str, int], None] | None = None,
    hang_timeout: float = 30.0,
) -> int:
    """Serve until stopped; returns the exit status. To be called in the main thread of a process without others.

    `start(number)` is called in each worker after the fork, and again in a worker that replaces another. `reload` is
    called here on SIGHUP, before the workers' own. `ready(host, port)` is called when all workers serve. A worker whose
    loop has not answered for `hang_timeout` seconds is killed. Raises ConfigurationError if the port cannot be had.
    """
    limits = limits or Limits()
    sockets = listeners(host, port, max(workers, 1), limits.backlog)
    master = _Master(
        start, sockets, limits, access_log=access_log, reload=reload, ready=ready, hang_timeout=hang_timeout
    )
    return master.run()


class _Master:
    def __init__(
        self,
        start: Callable[[int], Application],
        sockets: list[socket.socket],
        limits: Limits,
        *,
        access_log: bool,
        reload: Callable[[], None] | None,
        ready: Callable[[str, int], None] | None,
        hang_timeout: float,
    ) -> None:
        self._start = start
        self._limits = limits
        self._log_lock = os.memfd_create("access-log-lock") if access_log else None
        self._reload = reload
        self._ready = ready
        self._slots = [_Slot(number, sock) for number, sock in enumerate(sockets)]
        self._notifier = Notifier()
        self._watchdog = watchdog_seconds()
        self._hang = min(hang_timeout, self._watchdog / 2) if self._watchdog else hang_timeout
        self._fed = 0.0
        self._announced = False
        self._status = 0
        self._stopping_until: float | None = None
        self._signals: list[int] = []

    def run(self) -> int:
        wake_out, wake_in = socket.socketpair()
        for side in (wake_out, wake_in):
            side.setblocking(False)
        self._wake = (wake_out, wake_in)
        before = {number: signal.signal(number, lambda number, _: self._signals.append(number)) for number in _CAUGHT}
        before_fd = signal.set_wakeup_fd(wake_in.fileno(), warn_on_full_buffer=False)
        try:
            for slot in self._slots:
                self._fork(slot)
            while any(slot.pid for slot in self._slots) or self._stopping_until is None:
                self._turn(wake_out)
        finally:
            self._kill(signal.SIGKILL)
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            for slot in self._slots:
                slot.listener.close()
                if slot.control is not None:
                    slot.control.close()
            wake_out.close()
            wake_in.close()
            if self._log_lock is not None:
                os.close(self._log_lock)
        return self._status

    def _turn(self, wake_out: socket.socket) -> None:
        """Wait for something to happen, and see to it."""
        controls = {slot.control.fileno(): slot for slot in self._slots if slot.control is not None}
        readable, _, _ = select.select([wake_out.fileno(), *controls], [], [], self._sleep())
        with suppress(BlockingIOError):
            while wake_out.recv(4096):
                pass
        now = time.monotonic()
        for fd in readable:
            if fd in controls:
                self._heard(controls[fd], now)
        while self._signals:
            self._signalled(self._signals.pop(0), now)
        self._reap(now)
        if self._stopping_until is not None:
            if now > self._stopping_until:
                self._kill(signal.SIGKILL)
            return
        for slot in self._slots:
            self._tend(slot, now)
        self._report(now)

    def _sleep(self) -> float:
        waiting = [slot.restart_at - time.monotonic() for slot in self._slots if not slot.pid]
        return max(min([_ASK_EVERY / 2, *waiting]), 0.01)

    # Workers

    def _fork(self, slot: _Slot) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        slot.started = slot.answered = time.monotonic()
        slot.serving = slot.open_question = False
        signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)  # until the child no longer has the master's handlers
        master = os.getpid()
        pid = os.fork()
        if not pid:
            self._become_worker(slot, master, ours, theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
        theirs.close()
        slot.pid, slot.control = pid, ours
        self._ask(slot, slot.started)

    def _become_worker(self, slot: _Slot, master: int, ours: socket.socket, theirs: socket.socket) -> None:
        """In the child: let go of all that is the master's, work, and never return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _CAUGHT:
                signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
            lifeline.end_with(master)  # one that outlived it would keep the node's lock from the next
            ours.close()
            for side in self._wake:
                side.close()
            for other in self._slots:
                if other is not slot:
                    other.listener.close()
                if other.control is not None:
                    other.control.close()
            status = worker.main(self._start, slot.number, slot.listener, theirs, self._limits, log_lock=self._log_lock)
        except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as a second master
            print_exc()
        finally:
            worker.leave(status)

    def _ask(self, slot: _Slot, now: float) -> None:
        if slot.control is not None and not slot.open_question:
            slot.asked = now
            with suppress(OSError):
                slot.control.send(_QUESTION)
                slot.open_question = True

    def _heard(self, slot: _Slot, now: float) -> None:
        if slot.control is None:
            return
        try:
            answer = slot.control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if not answer:  # it is ending
            slot.control.close()
            slot.control = None
        elif answer.startswith(b"HTTP/1.1 "):
            slot.answered = now
            slot.open_question = False
            slot.serving = True

    def _tend(self, slot: _Slot, now: float) -> None:
        if not slot.pid:
            if now >= slot.restart_at:
                self._fork(slot)
        elif slot.serving and now - slot.answered > self._hang:
            _log.error("worker %d (process %d) hangs: replacing it", slot.number, slot.pid)
            slot.answered = now
            with suppress(ProcessLookupError):
                os.kill(slot.pid, signal.SIGABRT)  # it shows where it hung, and dies
        elif now - slot.asked >= _ASK_EVERY:
            self._ask(slot, now)
        if slot.serving and now - slot.started > _STEADY:
            slot.deaths = 0

    def _reap(self, now: float) -> None:
        for slot in self._slots:
            if not slot.pid:
                continue
            pid, wait_status = os.waitpid(slot.pid, os.WNOHANG)
            if not pid:
                continue
            status = os.waitstatus_to_exitcode(wait_status)
            slot.pid = 0
            if slot.control is not None:
                slot.control.close()
                slot.control = None
            if self._stopping_until is not None:
                continue
            if not self._announced:
                _log.error("worker %d ended with status %d before it could serve", slot.number, status)
                self._status = status if status > 0 else 128 - status
                self._stop(now)
                continue
            delay = 0.0 if now - slot.started > _STEADY else min(0.1 * 2**slot.deaths, _BACKOFF_MAX)
            slot.deaths += 1
            slot.restart_at = now + delay
            slot.serving = False
            _log.error("worker %d ended with status %d: starting another in %.1f s", slot.number, status, delay)

    def _kill(self, number: int) -> None:
        for slot in self._slots:
            if slot.pid:
                with suppress(ProcessLookupError):
                    os.kill(slot.pid, number)
                if number == signal.SIGKILL:
                    with suppress(ChildProcessError):
                        os.waitpid(slot.pid, 0)
                    slot.pid = 0

    # Signals

    def _signalled(self, number: int, now: float) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._stopping_until is None:
                _log.info("stopping")
                self._stop(now)
            else:
                self._status = 128 + number
                self._kill(signal.SIGKILL)
        elif number == signal.SIGHUP and self._stopping_until is None:
            self._notifier.send(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
            if self._reload is not None:
                try:
                    self._reload()
                except Exception:  # noqa: BLE001 - a mistake in the configuration must not end the service
                    _log.exception("reload failed, the old settings stay in force")
            self._kill(signal.SIGHUP)
            self._notifier.send(READY=1)

    def _stop(self, now: float) -> None:
        grace = self._limits.shutdown_timeout + 5
        self._stopping_until = now + grace
        self._notifier.send(STOPPING=1, EXTEND_TIMEOUT_USEC=int((grace + 5) * 1e6), STATUS="draining")
        for slot in self._slots:  # nobody may queue where nobody will serve: the workers hold the sockets until drained
            slot.listener.close()
        self._kill(signal.SIGTERM)

    # Service manager

    def _report(self, now: float) -> None:
        serving = [slot for slot in self._slots if slot.pid and slot.serving]
        if not self._announced:
            if len(serving) == len(self._slots):
                self._announced = True
                host, port = self._slots[0].listener.getsockname()[:2]
                self._notifier.send(READY=1, STATUS=f"{len(serving)} workers serve {host} port {port}")
                if self._ready is not None:
                    self._ready(host, port)
            elif now - self._fed > _STARTING_EXTENSION / 3:
                self._fed = now
                self._notifier.send(EXTEND_TIMEOUT_USEC=_STARTING_EXTENSION * 1_000_000, STATUS="starting")
        elif self._watchdog and now - self._fed >= self._watchdog / 4:
            fresh = all(now - slot.answered < self._watchdog / 2 for slot in self._slots if slot.pid)
            if serving and fresh:
                self._fed = now
                self._notifier.send(WATCHDOG=1, STATUS=f"{len(serving)} of {len(self._slots)} workers serve")
