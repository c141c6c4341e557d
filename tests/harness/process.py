"""One IronBucket node as a real process: start it, wait until it answers, stop it, kill it, start it again.

A node lives in a directory of its own (`root`), which survives the process: `s3/` (payloads), `wal/` (log),
`state/`. The directories can be given one by one, so that each may lie on a file system of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
#: run the command line of this checkout with this interpreter, whether or not it is installed
COMMAND = [sys.executable, "-c", "import sys; from ironbucket.cli import main; sys.exit(main())"]

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"

#: signals end a process within this; a slow machine may need it all
PATIENCE = 30.0


class NotReady(AssertionError):
    """The node did not answer on its health path in time; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago, chosen by the kernel."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], what: str, timeout: float = PATIENCE, interval: float = 0.01) -> None:
    """Poll `condition` until it is true; AssertionError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}")
        time.sleep(interval)


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """The environment of a command: this process's, this checkout first on the path, and `settings`."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTEST_"))}
    env["PYTHONPATH"] = os.pathsep.join(p for p in (str(REPOSITORY), env.get("PYTHONPATH", "")) if p)
    env["PYTHONUNBUFFERED"] = "1"
    env.update({k: str(v) for k, v in settings.items()})
    return env


class NodeProcess:
    """`ironbucket serve` with its own directories and port. Use as a context manager, or call `close()`."""

    def __init__(
        self,
        root: Path,
        *,
        storage: Path | None = None,
        wal: Path | None = None,
        state: Path | None = None,
        prefix: tuple[str, ...] = (),
        **settings: object,
    ) -> None:
        self.root = root
        self.storage = storage or root / "s3"
        self.wal_dir = wal or root / "wal"
        self.state = state or root / "state"
        self.prefix = prefix  # a launcher such as ("taskset", "-c", "0")
        self.port = free_port()
        self.log_path = root / "server.log"
        self.settings: dict[str, object] = {
            "ACCESS_KEY": ACCESS_KEY,
            "SECRET_KEY": SECRET_KEY,
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "WORKERS": 2,
            "REGION": REGION,
            "NODE_ID": "node-1",
            "STORAGE_PATH": self.storage,
            "WAL_ENABLED": "true",
            "WAL_PATH": self.wal_dir / "wal.log",
            "STATE_PATH": self.state / "replicator.state",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    # -- life ---------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True, **settings: object) -> NodeProcess:
        """Start the process; `settings` hold for this life only. Waits for `/-/health` unless told not to."""
        assert self.process is None or self.process.poll() is not None, "already running"
        for directory in (self.root, self.storage, self.wal_dir, self.state):
            directory.mkdir(parents=True, exist_ok=True)
        self._close_log()
        self._log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [*self.prefix, *COMMAND, "serve"],
            env=environment({**self.settings, **settings}),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout: float = PATIENCE) -> None:
        """Until `/-/health` answers 200; NotReady when the process ends or the time is over."""
        deadline = time.monotonic() + timeout
        while True:
            assert self.process is not None
            code = self.process.poll()
            if code is not None:
                raise NotReady(f"ended with status {code} before it was ready\n{self.log_tail()}")
            if self.healthy():
                return
            if time.monotonic() > deadline:
                raise NotReady(f"not ready within {timeout:.0f} s\n{self.log_tail()}")
            time.sleep(0.01)

    def healthy(self) -> bool:
        """Whether `/-/health` answers 200 now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/-/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def workers(self) -> list[int]:
        """Process ids of the children of the main process; [] when it serves by itself or has ended."""
        return children(self.pid)

    def all_pids(self) -> list[int]:
        """The main process and all that descend from it."""
        found, todo = [], [self.pid]
        while todo:
            found.append(todo.pop())
            todo.extend(children(found[-1]))
        return found

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout: float = PATIENCE) -> int:
        """SIGTERM, wait for the end, return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            tail = self.log_tail()
            self.kill()
            raise AssertionError(f"did not end within {timeout:.0f} s of SIGTERM\n{tail}") from None

    def kill(self) -> None:
        """SIGKILL for the main process and every descendant, as a machine that dies takes all of them."""
        if self.process is None:
            return
        pids = self.all_pids() if self.process.poll() is None else []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # workers that lost their parent before the list was made are still in the session's group
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        for pid in pids:
            wait_until(lambda pid=pid: gone(pid), f"process {pid} ended")

    def close(self) -> None:
        self.kill()
        self._close_log()

    def __enter__(self) -> NodeProcess:
        return self if self.running() else self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    # -- reaching it --------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def wal_path(self) -> Path:
        return self.wal_dir / "wal.log"

    def log(self) -> str:
        """All that the process printed, over all its lives."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def run(self, *arguments: str, timeout: float = 120, **settings: object) -> subprocess.CompletedProcess[str]:
        """Another command of the same program with the same settings, for example `run("wal", "verify")`."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=environment({**self.settings, **settings}),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def children(pid: int) -> list[int]:
    """Process ids of the direct children of `pid`; [] when there is no such process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(word) for word in file.read().split()]
    return found


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie that init has not reaped yet has)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


@contextlib.contextmanager
def node(root: Path, **settings: object) -> Iterator[NodeProcess]:
    """A running node in `root`, killed at the end."""
    process = NodeProcess(root, **settings)  # type: ignore[arg-type]
    try:
        yield process.start()
    finally:
        process.close()
