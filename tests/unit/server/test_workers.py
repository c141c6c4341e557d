"""The master and its workers, as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .conftest import Answer, Client

PROGRAM = r"""
    import os, sys, time, signal, threading
    from ironbucket import errors
    from ironbucket.server import workers

    def start(number):
        if MODE == "refuse":
            raise errors.ConfigurationError("on purpose")
        if MODE == "crash":
            os._exit(9)
        level = ["old"]

        def app(environ, start_response):
            path = environ["PATH_INFO"]
            body = environ["wsgi.input"].read()
            if path == "/slow":
                time.sleep(1)
            elif path == "/b/hang":
                time.sleep(100)
            elif path == "/b/die":
                os.kill(os.getpid(), signal.SIGKILL)
            text = f"{number} {os.getpid()} {level[0]} {threading.current_thread().name} {len(body)}"
            start_response("200 OK", [])
            return [text.encode()]

        def reload():
            level[0] = "new"

        def close():
            os.write(2, f"closed {number}\n".encode())  # one write: the workers share this pipe

        check = lambda: {"worker": number, "pid": os.getpid()}
        return workers.Application(app, check=check, reload=reload, close=close)

    def reload():
        os.write(2, b"master reloads\n")

    def ready(host, port):
        os.write(2, f"ready {port}\n".encode())

    limits = workers.Limits(shutdown_timeout=SHUTDOWN, drain_idle=0.3)
    sys.exit(workers.run(start, host="127.0.0.1", port=0, workers=WORKERS, limits=limits, access_log=True,
                         reload=reload, ready=ready, hang_timeout=HANG))
"""


class Service:
    """The program, and what it writes."""

    def __init__(
        self, tmp_path: Path, mode: str = "", workers: int = 2, shutdown: float = 10, hang: float = 30
    ) -> None:
        text = f"MODE = {mode!r}\nWORKERS = {workers}\nSHUTDOWN = {shutdown}\nHANG = {hang}\n" + textwrap.dedent(
            PROGRAM
        )
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(tmp_path / "notify"))
        self.notify.settimeout(0)
        self.notes: list[str] = []
        self.log = tmp_path / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", text],
                stdout=log,
                stderr=subprocess.PIPE,
                env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"},
            )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.decode().strip())

    def line(self, start: str, count: int = 1) -> str:
        """Wait for the `count`th line that starts so."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = [line for line in self.lines if line.startswith(start)]
            if len(found) >= count:
                return found[count - 1]
            if not self.reader.is_alive():
                break
            time.sleep(0.01)
        raise AssertionError(f"no line {start!r} in {self.lines}")

    def noted(self, text: str) -> bool:
        """Has systemd been told so, or is it within five seconds?"""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                self.notes.append(self.notify.recv(4096).decode())
            except BlockingIOError:
                time.sleep(0.01)
            if any(text in note for note in self.notes):
                return True
        return False

    def port(self) -> int:
        return int(self.line("ready ").split()[1])

    def get(self, target: str = "/b/k") -> Answer:
        with Client(self.port(), timeout=20) as client:
            return client.get(target)

    def worker_pids(self, count: int) -> dict[int, int]:
        """number -> process id, of `count` workers."""
        found: dict[int, int] = {}
        deadline = time.monotonic() + 20
        while len(found) < count and time.monotonic() < deadline:
            number, pid, *_ = self.get().body.split()
            found[int(number)] = int(pid)
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def start(**more: Any) -> Service:
        made.append(Service(tmp_path, **more))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        each.reader.join()
        each.notify.close()
        assert each.process.stderr is not None
        each.process.stderr.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_life(service: Callable[..., Service], workers: int) -> None:
    running = service(workers=workers)
    assert sorted(running.worker_pids(workers)) == list(range(workers))
    health = running.get("/-/health")
    assert health.status == 200
    assert json.loads(health.body)["status"] == "ok"
    assert running.noted("READY=1")
    assert running.noted("WATCHDOG=1")
    assert running.end() == 0
    assert running.noted("STOPPING=1")
    for number in range(workers):
        assert running.line(f"closed {number}")
    assert all(json.loads(line)["status"] == 200 for line in running.log.read_text().splitlines())


def test_a_worker_that_dies_is_replaced_and_no_connection_is_refused(service: Callable[..., Service]) -> None:
    running = service()
    before = running.worker_pids(2)
    for number, pid in before.items():
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while running.worker_pids(2)[number] == pid and time.monotonic() < deadline:
            time.sleep(0.02)
    after = running.worker_pids(2)
    assert not set(before.values()) & set(after.values())
    assert running.end() == 0


def test_a_worker_that_hangs_is_replaced(service: Callable[..., Service]) -> None:
    running = service(workers=1, hang=1.5)
    before = running.worker_pids(1)[0]
    with Client(running.port(), timeout=20) as client:
        client.send(b"GET /b/hang HTTP/1.1\r\nHost: t\r\n\r\n")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(OSError, EOFError):  # it may have been accepted by the one that hangs
                if running.worker_pids(1)[0] != before:
                    break
        assert running.worker_pids(1)[0] != before
    assert running.end() == 0


def test_reload(service: Callable[..., Service]) -> None:
    running = service(workers=1)
    assert b" old " in running.get().body
    running.process.send_signal(signal.SIGHUP)
    assert running.line("master reloads")
    deadline = time.monotonic() + 10
    while b" new " not in running.get().body:
        assert time.monotonic() < deadline
    assert running.noted("RELOADING=1")
    assert running.end() == 0


def test_sigterm_loses_no_request(service: Callable[..., Service]) -> None:
    """Clients on kept connections and on new ones, served in the loop and in threads: all are answered."""
    running = service()
    port = running.port()
    lost: list[BaseException] = []
    answered = [0]
    stop = threading.Event()

    def kept(request: bytes) -> None:
        with Client(port) as client:
            while not stop.is_set():
                client.send(request)
                answer = client.answer()
                answered[0] += 1
                if answer.headers.get("connection") == "close":
                    return

    def fresh(request: bytes) -> None:
        while not stop.is_set():
            try:
                client = Client(port)
            except ConnectionRefusedError:
                return
            with client:
                client.send(request)
                client.answer()
                answered[0] += 1

    def guarded(job: Callable[[bytes], None], request: bytes) -> None:
        try:
            job(request)
        except (OSError, EOFError) as error:
            lost.append(error)

    get = b"GET /b/k HTTP/1.1\r\nHost: t\r\n\r\n"
    put = b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n12345"
    jobs = [(kept, get), (kept, put), (kept, put), (fresh, get), (fresh, put)]
    threads = [threading.Thread(target=guarded, args=job) for job in jobs]
    slow = Client(port)
    slow.send(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
    idle = Client(port)
    idle.get()
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    running.process.send_signal(signal.SIGTERM)
    answer = slow.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert idle.ended()
    slow.close()
    idle.close()
    assert running.process.wait(20) == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert answered[0] > 20
    assert not lost


def test_a_drain_does_not_last_for_ever(service: Callable[..., Service]) -> None:
    running = service(workers=1, shutdown=0.3)
    with Client(running.port()) as client:
        client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n12")
        running.get()
        assert running.end() == 0
        with pytest.raises((EOFError, ConnectionResetError, AssertionError)):
            assert client.answer().status == 200


def test_a_second_sigterm_ends_at_once(service: Callable[..., Service]) -> None:
    running = service(workers=1)
    with Client(running.port()) as client:
        client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n12")
        running.get()
        running.process.send_signal(signal.SIGTERM)
        assert running.noted("STOPPING=1")
        assert running.end() == 128 + signal.SIGTERM


def test_the_workers_end_when_the_master_is_killed(service: Callable[..., Service]) -> None:
    running = service()
    pids = running.worker_pids(2).values()
    running.process.kill()
    running.process.wait()
    assert running.line("closed 0") and running.line("closed 1")
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}/exe") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(ConnectionRefusedError):
        running.get()


@pytest.mark.parametrize(("mode", "status"), [("refuse", 2), ("crash", 9)])
def test_a_start_that_fails_ends_the_service(service: Callable[..., Service], mode: str, status: int) -> None:
    running = service(mode=mode)
    assert running.process.wait(20) == status
