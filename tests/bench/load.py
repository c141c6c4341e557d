"""The load generator: ready-made requests over kept connections, as cheaply as Python or wrk can send them.

Every request is signed before the clock starts, so that the client's share of the CPU stays small. `Plan` says what to
send; `drive` sends it with an epoll loop in a process of its own; `wrk` sends it with wrk, where that is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Plan:
    """`requests` (whole, as bytes) are sent in turn over `connections` for `seconds`; `rate` per second, 0: at once."""

    host: str
    port: int
    requests: Sequence[bytes]
    connections: int = 1
    seconds: float = 3.0
    rate: float = 0.0
    bodiless: bool = False  # HEAD


@dataclass(frozen=True)
class Result:
    """Latencies in microseconds, CPU of the client in seconds."""

    count: int
    seconds: float
    p50: float
    p99: float
    longest: float
    errors: int
    client_cpu: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds


@contextlib.contextmanager
def running(plan: Plan, cpus: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """The epoll client as a process, pinned to `cpus`; `result_of` reads what it measured."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "requests"
        path.write_bytes(_frame(plan.requests))
        options = {
            "host": plan.host,
            "port": plan.port,
            "connections": plan.connections,
            "seconds": plan.seconds,
            "rate": plan.rate,
            "bodiless": plan.bodiless,
            "requests": str(path),
        }
        pin = ["taskset", "-c", cpus] if cpus else []
        process = subprocess.Popen([*pin, sys.executable, __file__, json.dumps(options)], stdout=subprocess.PIPE)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def result_of(process: subprocess.Popen[bytes]) -> Result:
    output, _ = process.communicate()
    assert process.returncode == 0, f"the client ended with status {process.returncode}"
    return Result(**json.loads(output))


def drive(plan: Plan, cpus: str = "") -> Result:
    """Run the epoll client and wait for it."""
    with running(plan, cpus) as process:
        return result_of(process)


def best(plan: Plan, cpus: str = "", *, prefer_wrk: bool = True) -> Result:
    """wrk where it can (it cannot send HEAD), the epoll client otherwise."""
    if prefer_wrk and not plan.bodiless and not plan.rate and shutil.which("wrk"):
        return wrk(plan, cpus)
    return drive(plan, cpus)


def wrk(plan: Plan, cpus: str = "") -> Result:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "requests"
        path.write_bytes(_frame(plan.requests))
        before = os.times()
        pin = ["taskset", "-c", cpus] if cpus else []
        threads = max(1, len(cpus.split(",")) if "," in cpus else 1)
        threads = min(threads, plan.connections)
        done = subprocess.run(
            [
                *pin,
                "wrk",
                f"-t{threads}",
                f"-c{plan.connections}",
                f"-d{max(1, round(plan.seconds))}s",
                "--timeout",
                "20s",
            ]
            + ["-s", str(HERE / "wrk.lua"), f"http://{plan.host}:{plan.port}/", "--", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        after = os.times()
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    count, micros, errors, p50, p99, longest = (float(word) for word in found[1].split())
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Result(int(count), micros / 1e6, p50, p99, longest, int(errors), cpu)


def _frame(requests: Sequence[bytes]) -> bytes:
    return b"".join(b"%d\n%b\n" % (len(request), request) for request in requests)


def _unframe(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        end = data.index(b"\n", at)
        length = int(data[at:end])
        found.append(data[end + 1 : end + 1 + length])
        at = end + 2 + length
    return found


# -- the client process ---------------------------------------------------------------------------------------


class _Connection:
    __slots__ = ("due", "missing", "received", "sent", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.missing = -1  # bytes of the body that are still to come; -1 while the head is
        self.sent = 0.0
        self.due = 0.0


def _client(options: dict[str, object]) -> dict[str, float]:
    requests = _unframe(Path(str(options["requests"])).read_bytes())
    bodiless, rate = bool(options["bodiless"]), float(str(options["rate"]))
    count = int(str(options["connections"]))
    poller = select.epoll()
    connections: dict[int, _Connection] = {}
    for _ in range(count):
        sock = socket.create_connection((str(options["host"]), int(str(options["port"]))))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[sock.fileno()] = _Connection(sock)
        poller.register(sock.fileno(), select.EPOLLIN)
    clock = time.perf_counter
    latencies: list[float] = []
    errors = number = 0
    cpu = time.process_time()
    started = clock()
    finish = started + float(str(options["seconds"]))
    interval = count / rate if rate else 0.0
    idle = list(connections.values())
    for position, connection in enumerate(idle):
        connection.due = started + (interval * position / count)
    while True:
        now = clock()
        if now >= finish:
            break
        waiting = []
        for connection in idle:
            if connection.due > now:
                waiting.append(connection)
                continue
            connection.sent = clock()
            connection.sock.sendall(requests[number % len(requests)])
            number += 1
        idle = waiting
        timeout = min([finish, *(connection.due for connection in idle)]) - clock() if idle else finish - now
        for fd, _ in poller.poll(max(timeout, 0)):
            connection = connections[fd]
            data = connection.sock.recv(262144)
            if not data:
                raise ConnectionError("the server closed a connection")
            if connection.missing < 0:
                data = connection.received + data
                end = data.find(b"\r\n\r\n")
                if end < 0:
                    connection.received = data
                    continue
                connection.received = b""
                status = data[9:10]
                if status != b"2":
                    errors += 1
                length = 0
                if not bodiless:
                    at = data.find(b"ontent-Length: ", 0, end)
                    if at < 0:
                        at = data.lower().find(b"ontent-length: ", 0, end)
                    length = int(data[at + 15 : data.index(b"\r\n", at)]) if at > 0 else 0
                connection.missing = length - (len(data) - end - 4)
            else:
                connection.missing -= len(data)
            if connection.missing > 0:
                continue
            connection.missing = -1
            now = clock()
            latencies.append(now - connection.sent)
            connection.due = max(connection.due + interval, now) if interval else now
            idle.append(connection)
    elapsed = clock() - started
    cpu = time.process_time() - cpu
    latencies.sort()

    def percentile(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1e6 if latencies else 0.0

    return {
        "count": len(latencies),
        "seconds": elapsed,
        "p50": percentile(0.5),
        "p99": percentile(0.99),
        "longest": percentile(1.0),
        "errors": errors,
        "client_cpu": cpu,
    }


if __name__ == "__main__":
    print(json.dumps(_client(json.loads(sys.argv[1]))))
