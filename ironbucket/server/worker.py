"""One worker process, from fork to exit: makes the application, serves, drains on SIGTERM, reloads on SIGHUP."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ironbucket import errors
from ironbucket.server import accesslog, health
from ironbucket.server.httpd import Limits, Server, reads_object

_log = logging.getLogger("ironbucket.server")

#: seconds after which a thread that computes lets another have the interpreter. The loop answers small requests in
#: tens of microseconds; Python's default of 5 ms would be most of their latency under load.
SWITCH_INTERVAL = 0.0005


def _nothing() -> None:
    pass


def _no_facts() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True)
class Application:
    """What a worker serves, and what else it calls."""

    #: WSGI application
    app: Callable[..., Any]
    #: for the health page: facts, or raises what is wrong; must not wait
    check: Callable[[], Mapping[str, object]] = field(default=_no_facts)
    #: upon SIGHUP, in a thread
    reload: Callable[[], None] = field(default=_nothing)
    #: after the last request
    close: Callable[[], None] = field(default=_nothing)
    #: which requests the application answers without waiting, by environ
    inline: Callable[[dict[str, Any]], bool] = field(default=reads_object)


def main(
    start: Callable[[int], Application],
    number: int,
    listener: socket.socket,
    control: socket.socket,
    limits: Limits,
    *,
    log_lock: int | None,
) -> int:
    """Run worker `number`; `control` is a connection to the master; `log_lock` a file to lock while writing the access
    log, None for no log. Returns the exit status."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal it reaches all; the master passes on what it means
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        application = start(number)
    except errors.IronBucketError as error:
        _log.error("worker %d cannot start: %s", number, error)
        return error.exit_status
    except Exception:  # noqa: BLE001 - the master hears of it by the exit status
        _log.exception("worker %d cannot start", number)
        return 1
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        _serve(application, listener, control, limits, log_lock)
    finally:
        application.close()
    return 0


def _serve(
    application: Application, listener: socket.socket, control: socket.socket, limits: Limits, log_lock: int | None
) -> None:
    server: Server
    app = health.mount(application.app, application.check, lambda: server.draining)
    log = accesslog.NoLog() if log_lock is None else accesslog.AccessLog(lock_fd=log_lock)
    reload_wanted: list[bool] = []

    def on_tick() -> None:
        if reload_wanted:
            reload_wanted.clear()
            server.pool.submit(reload, always=True)

    server = Server(listener, app, limits=limits, inline=application.inline, access_log=log, on_tick=on_tick)

    def reload() -> None:
        try:
            application.reload()
        except errors.IronBucketError as error:
            _log.error("reload failed, the old settings stay in force: %s", error)
        except Exception:  # noqa: BLE001 - a mistake in the configuration must not end the service
            _log.exception("reload failed, the old settings stay in force")

    signal.set_wakeup_fd(server.loop.wake_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    # a handler runs in the middle of the loop's code, so it may take no lock: it leaves a note, and waking makes a tick
    signal.signal(signal.SIGHUP, lambda *_: reload_wanted.append(True))
    server.prepare()
    server.add_internal(control)
    gc.collect()
    gc.freeze()  # what is here now stays: the collector need not look at it again
    try:
        server.serve()
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)


def leave(status: int) -> None:
    """End a forked process without running what its parent has registered."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 1
    logging.shutdown()
    os._exit(status)
