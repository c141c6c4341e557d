"""Child processes of a launcher: started, awaited, watched and stopped together, each by its own process id.

None outlives the launcher, however that ends (`ironbucket.lifeline`).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ironbucket import lifeline
from ironbucket.errors import IronBucketError

HOST = "127.0.0.1"
READY_WITHIN = 60.0  # seconds, on a slow machine too
STOP_WITHIN = 35.0  # seconds: a little more than a node's own shutdown_timeout
_RESTARTS = 5  # of one process in a row, each within a second of the one before


def _nothing() -> None:
    pass


@dataclass
class Process:
    """A child with a log file. It gets no Ctrl-C of its own: the launcher stops all in order."""

    name: str
    command: list[str]
    log: Path
    folder: Path | None = None  # where it runs
    before: Callable[[], None] = field(default=_nothing)  # what has to be done before each start
    popen: subprocess.Popen[bytes] | None = field(default=None)
    failures: int = 0

    def start(self) -> None:
        """To be called in the main thread."""
        self.before()
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=partial(lifeline.end_with, os.getpid()),
            )

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.popen.poll() if self.popen else None

    def last_words(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-10:])


def await_health(port: int, processes: list[Process], stop: threading.Event) -> None:
    """Return when the health page at `port` answers, or on `stop`. Raises IronBucketError when a process ends first."""
    for _ in range(int(READY_WITHIN / 0.1)):
        if stop.wait(0.1) or _healthy(port):
            return
        for process in processes:
            if process.status is not None:
                raise IronBucketError(f"{process.name} ended with status {process.status}:\n{process.last_words()}")
    raise IronBucketError(f"port {port}: not ready within {READY_WITHIN:.0f} s; see {processes[0].log}")


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/-/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def watch(processes: list[Process], stop: threading.Event) -> None:
    """Until told to stop: start again what ends, as systemd would. Raises IronBucketError when one cannot live."""
    while not stop.wait(1.0):
        for process in processes:
            if process.status is None:
                process.failures = 0
                continue
            process.failures += 1
            if process.failures > _RESTARTS:
                raise IronBucketError(f"{process.name} ends again and again:\n{process.last_words()}")
            print(f"{process.name} ended with status {process.status}; starting it again", flush=True)
            process.start()


def stop_all(processes: list[Process]) -> None:
    """SIGTERM to each, the last started first; SIGKILL to what is left after its time."""
    for process in reversed(processes):
        if process.popen is not None and process.status is None:
            process.popen.terminate()
    for process in reversed(processes):
        if process.popen is None:
            continue
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.popen.wait(STOP_WITHIN)
        if process.status is None:
            process.popen.kill()
            process.popen.wait()
