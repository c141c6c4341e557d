"""The load generator: ready-made requests over kept connections, as cheaply as Python or wrk can send them.

Every request is signed before the clock starts, so that the client's share of the CPU stays small. `Plan` says what to
send; `drive` sends it with client.py in a process of its own; `wrk` sends it with wrk, where that is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
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
        client = str(HERE / "client.py")
        process = subprocess.Popen([*pin, sys.executable, client, json.dumps(options)], stdout=subprocess.PIPE)
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
    if prefer_wrk and not plan.bodiless and not plan.rate and has_wrk():
        return wrk(plan, cpus)
    return drive(plan, cpus)


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def wrk(plan: Plan, cpus: str = "") -> Result:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "requests"
        path.write_bytes(_frame(plan.requests))
        before = os.times()
        pin = ["taskset", "-c", cpus] if cpus else []
        threads = max(1, len(cpus.split(",")) if "," in cpus else 1)
        threads = min(threads, plan.connections)
        duration = max(1, round(plan.seconds))
        command = ["wrk", f"-t{threads}", f"-c{plan.connections}", f"-d{duration}s", "--timeout", "20s"]
        done = subprocess.run(
            [*pin, *command, "-s", str(HERE / "wrk.lua"), f"http://{plan.host}:{plan.port}/", "--", str(path)],
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
