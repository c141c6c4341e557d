"""One line a request, whatever is in it, and no request waits for a reader of the log."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ironbucket.server import accesslog
from ironbucket.server.accesslog import AccessLog

from .conftest import Running, echo

Serve = Callable[..., Running]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    environ["ironbucket.access_key"] = 'AKIA"EXAMPLE'
    return echo(environ, start_response)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    running = serve(app, more={"access_log": AccessLog(fd, lock_fd=fd)})
    client = running.client()
    request_id = client.get('/b/k%20%22"?x=1').headers["x-amz-request-id"]
    client.send(b"PUT /b/p HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Length: 3\r\n\r\nabc")
    client.answer()
    client.get("/b/s?X-Amz-Signature=feed&X-Amz-Security-Token=f00d&a=b")
    client.send(b"nonsense\r\n\r\n")
    client.answer()
    running.stop()
    os.close(fd)
    get, put, signed, nonsense = lines_of(path)
    assert get["time"].endswith("Z") and len(get["time"]) == 24
    assert get["ms"] >= 0
    facts = ("request_id", "remote", "method", "path", "query", "status", "bytes_in", "bytes_out", "access_key")
    body = len(b'GET /b/k "" ')
    assert [get[fact] for fact in facts] == [
        request_id,
        "127.0.0.1",
        "GET",
        '/b/k%20%22"',
        "x=1",
        200,
        0,
        body,
        'AKIA"EXAMPLE',
    ]
    assert (put["method"], put["bytes_in"], put["forwarded_for"]) == ("PUT", 3, "10.0.0.1")
    assert signed["query"] == "X-Amz-Signature=&X-Amz-Security-Token=&a=b"
    assert (nonsense["status"], nonsense["method"]) == (400, "")


def test_nobody_reads_the_log(serve: Serve, monkeypatch: Any) -> None:
    """Requests go on; what the queue cannot hold is dropped and counted once there is a reader again."""
    monkeypatch.setattr(accesslog, "_QUEUE", 1000)
    monkeypatch.setattr(accesslog, "_PAUSE", 0.01)
    read_end, write_end = os.pipe()
    log = AccessLog(write_end)
    running = serve(app, more={"access_log": log})
    client = running.client()
    request = b"GET /b/k HTTP/1.1\r\nHost: t\r\n\r\n"
    for _ in range(30):
        client.send(request * 100)
        for _ in range(100):
            assert client.answer().status == 200
    text = b""
    deadline = time.monotonic() + 10
    os.set_blocking(read_end, False)
    while b"dropped" not in text and time.monotonic() < deadline:
        client.get()
        try:
            text += os.read(read_end, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    running.stop()
    try:
        while piece := os.read(read_end, 65536):
            text += piece
    except BlockingIOError:
        os.close(write_end)
    os.close(read_end)
    lines = [json.loads(line) for line in text.splitlines()]
    dropped = sum(line["count"] for line in lines if "count" in line)
    assert dropped > 0
    assert dropped + sum("path" in line for line in lines) >= 3000
