"""Small requests: signed GET and HEAD of 1 KiB, durable PUTs of 1 KiB, and reads while writes run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load
from tests.bench.target import CLIENT_CPU, SERVER_CPU, Target, nginx, own_server

BUCKET = "bench"
BODY = os.urandom(1024)
CONNECTIONS = (1, 16, 64)
TURNS = 3


@dataclass(frozen=True)
class Measured:
    """The best turn: noise only ever makes things slower. `cpu`: microseconds of the server for one request."""

    result: load.Result
    cpu: float

    def __str__(self) -> str:
        cpu = f"{self.cpu:6.1f} µs CPU" if self.cpu else "    not known"
        errors = f", {self.result.errors} ERRORS" if self.result.errors else ""
        return f"{self.result.rate:9.0f}/s  p50 {self.result.p50:7.0f} µs  p99 {self.result.p99:7.0f} µs  {cpu}{errors}"


def measure(target: Target, plan: load.Plan, cpus: str = "", *, prefer_wrk: bool = True) -> Measured:
    before = target.cpu()
    result = load.best(plan, cpus, prefer_wrk=prefer_wrk)
    return Measured(result, (target.cpu() - before) / max(result.count, 1) * 1e6)


def better(first: Measured | None, second: Measured) -> Measured:
    return second if first is None or second.result.rate > first.result.rate else first


def fill(target: Target, count: int = 100) -> list[str]:
    """`count` objects of 1 KiB; their keys."""
    target.make_bucket(BUCKET)
    keys = [f"small/{i:04}" for i in range(count)]
    client = target.client()
    for key in keys:
        answer = client.request("PUT", BUCKET, key, body=BODY)
        assert answer.status == 200, str(answer)
    return keys


def reads(directory: Path, external: Target | None, seconds: float, *, prefer_wrk: bool) -> dict[str, Measured]:
    """GET and HEAD at each number of connections, ours and nginx in turn; names like "get 16" and "nginx get 16"."""
    found: dict[str, Measured] = {}
    with nginx(directory, {"small": BODY}) as static:

        def rounds(target: Target) -> None:
            keys = fill(target)
            for _ in range(TURNS):
                for verb in ("GET", "HEAD"):
                    for connections in CONNECTIONS:
                        bodiless = verb == "HEAD"
                        requests = [target.request(verb, BUCKET, key) for key in keys]
                        plan = load.Plan(target.host, target.port, requests, connections, seconds, 0, bodiless)
                        name = f"{verb.lower()} {connections}"
                        found[name] = better(found.get(name), measure(target, plan, CLIENT_CPU, prefer_wrk=prefer_wrk))
                        if static:
                            plain = [f"{verb} /small HTTP/1.1\r\nHost: {static.netloc}\r\n\r\n".encode()]
                            plan = load.Plan(static.host, static.port, plain, connections, seconds, 0, bodiless)
                            name = f"nginx {name}"
                            now = measure(static, plan, CLIENT_CPU, prefer_wrk=prefer_wrk)
                            found[name] = better(found.get(name), now)

        if external:
            rounds(external)
        else:
            with own_server(directory / "one", 1, SERVER_CPU) as target:
                rounds(target)
    return found


def scaling(directory: Path, seconds: float, *, prefer_wrk: bool) -> tuple[float, float, Measured, Measured]:
    """Requests a second of one worker and of two, both without the client's share of the machine.

    One worker: alone on its core, the client on the other. Two workers: the client runs on their cores too, so what
    it used is taken off: N requests in T seconds on 2 cores, of which the client used C, are N / (T - C/2).
    """
    rates: list[float] = []
    best: list[Measured] = []
    for workers, cpus in ((1, SERVER_CPU), (2, f"{SERVER_CPU},{CLIENT_CPU}")):
        highest, kept = 0.0, None
        with own_server(directory / f"scaling-{workers}", workers, cpus) as target:
            keys = fill(target)
            for _ in range(TURNS):
                requests = [target.request("GET", BUCKET, key) for key in keys]
                plan = load.Plan(target.host, target.port, requests, 32, seconds)
                now = measure(target, plan, CLIENT_CPU if workers == 1 else cpus, prefer_wrk=prefer_wrk)
                left = now.result.seconds - (now.result.client_cpu / 2 if workers == 2 else 0)
                if now.result.count / left > highest:
                    highest, kept = now.result.count / left, now
        assert kept
        rates.append(highest)
        best.append(kept)
    return rates[0], rates[1], best[0], best[1]


def puts(target: Target, seconds: float, connections: int = 16) -> Measured:
    """Durable PUTs of 1 KiB to ever new keys."""
    target.make_bucket(BUCKET)
    kept: Measured | None = None
    for turn in range(TURNS):
        requests = [target.request("PUT", BUCKET, f"put/{turn}/{i}", body=BODY) for i in range(20_000)]
        plan = load.Plan(target.host, target.port, requests, connections, seconds)
        kept = better(kept, measure(target, plan, prefer_wrk=False))
    assert kept
    return kept


def reads_during_writes(target: Target, seconds: float) -> tuple[load.Result, load.Result, load.Result]:
    """GETs at a steady 500 a second: alone, and while 8 connections put as fast as they can; and those puts."""
    keys = fill(target)
    requests = [target.request("GET", BUCKET, key) for key in keys]
    gets = load.Plan(target.host, target.port, requests, 4, seconds, rate=500)
    alone = min((load.drive(gets) for _ in range(TURNS)), key=lambda result: result.p99)
    pairs = []
    for turn in range(TURNS):
        bodies = [target.request("PUT", BUCKET, f"during/{turn}/{i}", body=BODY) for i in range(20_000)]
        writes = load.Plan(target.host, target.port, bodies, 8, seconds + 1)
        with load.running(writes) as process:
            during = load.drive(gets)
            pairs.append((during, load.result_of(process)))
    during, written = min(pairs, key=lambda pair: pair[0].p99)
    return alone, during, written
