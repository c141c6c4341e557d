"""Whatever bytes arrive, in whatever pieces: the server gives no 5xx, does not hang, and serves the next client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironbucket import errors
from ironbucket.server.httpd import Limits

from .conftest import Running

TOKENS = [
    b"GET ", b"PUT ", b"HEAD ", b"POST ", b"/b/k", b"/",
    b"*", b"?a=b", b"%00", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n",
    b"\r\n\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"Host: t\r\n", b"Host: \r\n", b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n", b"Content-Length: 9999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"X-A: \xff\r\n",
    b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", b"ffffffffffffffff\r\n", b"1;x=y\r\n", b"http://t/b/k", b"X" * 300,
    b"GET /b/k HTTP/1.1\r\nHost: t\r\n\r\n", b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
    b"PUT /b/k HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
]  # fmt: skip


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    try:
        body = environ["wsgi.input"].read()
    except errors.S3Error as error:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [error.code.encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % len(body)]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    limits = Limits(header_timeout=5, body_timeout=5, drain_idle=0, shutdown_timeout=1, linger_timeout=0.5)
    server = Running(app, limits)
    yield server
    server.stop()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=20)), max_size=12), st.integers(1, 200))
def test_any_bytes(running: Running, tokens: list[bytes], size: int) -> None:
    text = b"".join(tokens)
    with running.client() as client:
        try:
            for start in range(0, len(text), size):
                client.send(text[start : start + size])
            client.sock.shutdown(1)
            while client.receive_more():
                pass
        except (ConnectionResetError, BrokenPipeError):
            assert client.data or not text
        assert b"HTTP/1.1 5" not in client.data
    running.clients.clear()
    with running.client() as client:
        assert client.get().status == 200
    running.clients.clear()
