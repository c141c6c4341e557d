"""Many connections, too many connections, no descriptors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from .conftest import Client, Running

Serve = Callable[..., Running]


@pytest.fixture
def descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))


def test_a_thousand_idle_connections_stop_nobody(serve: Serve, descriptors: None) -> None:
    running = serve()
    idle = [running.client() for _ in range(1000)]
    assert idle[0].get().status == 200
    assert idle[999].get().status == 200
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.25  # they cost nothing
    assert running.client().get("/").status == 200


def test_the_longest_idle_make_room(serve: Serve) -> None:
    running = serve(max_connections=10)
    first = running.client()
    assert first.get().status == 200
    others = [running.client() for _ in range(12)]
    assert others[-1].get().status == 200
    assert first.ended()
    assert len(running.server.loop.connections) <= 10


def test_refused_when_none_is_idle(serve: Serve) -> None:
    running = serve(max_connections=3)
    busy = [running.client() for _ in range(3)]
    for client in busy:
        client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nab")
    deadline = time.monotonic() + 5
    while running.server.pool.threads - running.server.pool.idle < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    refused = running.client().answer()
    assert (refused.status, b"<Code>SlowDown</Code>" in refused.body) == (503, True)
    for client in busy:
        client.send(b"c")
        assert client.answer().body == b"PUT /b/k abc"
    assert running.client().get().status == 200


def test_a_failing_connection_ends_alone(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    running = serve(more={"inline": lambda environ: 1 / len(environ["QUERY_STRING"]) > 0})
    assert running.client().get("/b/k?x").status == 200
    broken = running.client()
    with pytest.raises(EOFError):
        broken.get("/b/k")
    assert running.client().get("/b/k?x").status == 200


EXHAUSTED = """
    import resource, socket, sys, threading
    from ironbucket.server.httpd import Server

    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"served"]

    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = Server(listener, app)
    server.prepare()
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.stop())).start()
    server.serve()
"""


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_descriptors_run_out_and_come_back() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(EXHAUSTED)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        port = int(process.stdout.readline())
        # these send half a request, so that they are not idle and cannot be closed to make room
        hogs = []
        for _ in range(60):
            hogs.append(Client(port))
            with suppress(OSError):  # turned away already
                hogs[-1].send(b"GET /b/k HTTP/1.1\r\n")
        time.sleep(0.5)
        before = cpu_seconds(process.pid)
        time.sleep(0.5)
        assert cpu_seconds(process.pid) - before < 0.2, "it spins"
        hogs[0].send(b"Host: t\r\n\r\n")
        assert hogs[0].answer().body == b"served"  # who is connected is served
        for hog in hogs:
            hog.close()
        time.sleep(0.5)
        with Client(port) as client:
            assert client.get().body == b"served"
        process.stdin.close()
        assert process.wait(10) == 0
