"""Each way to smuggle, confuse or overload that is known to us ends in a 4xx and a closed connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Running

Serve = Callable[..., Running]
H = b"Host: t\r\n"
BODY = b"3\r\nabc\r\n0\r\n\r\n"

MALFORMED = {
    "length and chunked": b"PUT /b/k HTTP/1.1\r\n"
    + H
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    + BODY,
    "chunked and length": b"PUT /b/k HTTP/1.1\r\n"
    + H
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
    + BODY,
    "two lengths": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length twice": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length list": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: 3, 3\r\n\r\nabc",
    "length with sign": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: +3\r\n\r\nabc",
    "length negative": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: -3\r\n\r\nabc",
    "length hexadecimal": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: 0x3\r\n\r\nabc",
    "length empty": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: \r\n\r\nabc",
    "length absurd": b"PUT /b/k HTTP/1.1\r\n" + H + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "coding before chunked": b"PUT /b/k HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + BODY,
    "coding after chunked": b"PUT /b/k HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked, identity\r\n\r\n" + BODY,
    "coding unknown": b"PUT /b/k HTTP/1.1\r\n" + H + b"Transfer-Encoding: xchunked\r\n\r\n" + BODY,
    "coding twice": b"PUT /b/k HTTP/1.1\r\n"
    + H
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    + BODY,
    "coding in HTTP/1.0": b"PUT /b/k HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + BODY,
    "coding with tab": b"PUT /b/k HTTP/1.1\r\n" + H + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + BODY,
    "folded header": b"GET /b/k HTTP/1.1\r\n" + H + b"X: a\r\n b\r\n\r\n",
    "folded by tab": b"GET /b/k HTTP/1.1\r\n" + H + b"X: a\r\n\tb\r\n\r\n",
    "space before colon": b"GET /b/k HTTP/1.1\r\n" + H + b"Content-Length : 3\r\n\r\nabc",
    "space in name": b"GET /b/k HTTP/1.1\r\n" + H + b"X Y: 3\r\n\r\n",
    "space before first name": b"GET /b/k HTTP/1.1\r\n X: 3\r\n" + H + b"\r\n",
    "no name": b"GET /b/k HTTP/1.1\r\n" + H + b": 3\r\n\r\n",
    "no colon": b"GET /b/k HTTP/1.1\r\n" + H + b"X\r\n\r\n",
    "bare LF after request line": b"GET /b/k HTTP/1.1\nHost: t\r\n\r\n",
    "bare LF after header": b"GET /b/k HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
    "bare LF at the end": b"GET /b/k HTTP/1.1\r\nHost: t\r\n\n\r\n\r\n",
    "bare CR": b"GET /b/k HTTP/1.1\r\n" + H + b"X: a\rb\r\n\r\n",
    "NUL in value": b"GET /b/k HTTP/1.1\r\n" + H + b"X: a\0b\r\n\r\n",
    "NUL in target": b"GET /b/k\0 HTTP/1.1\r\n" + H + b"\r\n",
    "control character": b"GET /b/k HTTP/1.1\r\n" + H + b"X: a\x01b\r\n\r\n",
    "byte above 127 in target": b"GET /b/\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n",
    "space in target": b"GET /b/k k HTTP/1.1\r\n" + H + b"\r\n",
    "fragment": b"GET /b/k#f HTTP/1.1\r\n" + H + b"\r\n",
    "target without slash": b"GET b/k HTTP/1.1\r\n" + H + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
    "other scheme": b"GET ftp://t/b/k HTTP/1.1\r\n" + H + b"\r\n",
    "two hosts by target": b"GET http://other/b/k HTTP/1.1\r\n" + H + b"\r\n",
    "two hosts": b"GET /b/k HTTP/1.1\r\n" + H + b"Host: u\r\n\r\n",
    "host twice": b"GET /b/k HTTP/1.1\r\n" + H + H + b"\r\n",
    "host malformed": b"GET /b/k HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with user": b"GET /b/k HTTP/1.1\r\nHost: u@t\r\n\r\n",
    "no host": b"GET /b/k HTTP/1.1\r\n\r\n",
    "invalid method": b"FOO /b/k HTTP/1.1\r\n" + H + b"\r\n",
    "lower-case method": b"get /b/k HTTP/1.1\r\n" + H + b"\r\n",
    "tab after method": b"GET\t/b/k HTTP/1.1\r\n" + H + b"\r\n",
    "HTTP/0.9": b"GET /b/k\r\n\r\n",
    "HTTP/0.9 named": b"GET /b/k HTTP/0.9\r\n" + H + b"\r\n",
    "HTTP/1.2": b"GET /b/k HTTP/1.2\r\n" + H + b"\r\n",
    "HTTP/2.0": b"GET /b/k HTTP/2.0\r\n" + H + b"\r\n",
    "HTTP/11": b"GET /b/k HTTP/11.1\r\n" + H + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("whole", [True, False], ids=["at once", "in pieces"])
@pytest.mark.parametrize("vector", MALFORMED)
def test_refused(serve: Serve, vector: str, whole: bool) -> None:
    called: list[str] = []

    def app(environ: dict[str, Any], _: Any) -> list[bytes]:
        called.append(environ["REQUEST_URI"])
        return []

    client = serve(app).client()
    text = MALFORMED[vector]
    if whole:
        client.send(text)
    else:
        for start in range(0, len(text), 7):
            client.send(text[start : start + 7])
    answer = client.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert answer.body.startswith(b"<?xml") and answer.body.endswith(b"</Error>")
    assert client.ended()
    assert not called


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "PATCH", "PROPFIND"])
def test_methods_not_served(serve: Serve, method: str) -> None:
    client = serve().client()
    target = "t:80" if method == "CONNECT" else "/b/k"
    client.send(f"{method} {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    assert client.answer().status == 405
    assert client.ended()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /" + "k" * 9000 + " HTTP/1.1\r\nHost: t\r\n\r\n", 414),
        ("GET /b/k HTTP/1.1\r\nHost: t\r\nX: " + "v" * 40_000 + "\r\n\r\n", 431),
        ("GET /b/k HTTP/1.1\r\nHost: t\r\n" + "".join(f"X-{n}: v\r\n" for n in range(101)) + "\r\n", 431),
        ("GET /" + "k" * 40_000, 414),
        ("GET /b/k HTTP/1.1\r\nHost: t\r\n" + "X" * 40_000, 431),
        ("GET /b/k HTTP/1.1\r\nHost: t\r\nExpect: a miracle\r\n\r\n", 417),
    ],
)
def test_limits(serve: Serve, head: str, status: int) -> None:
    client = serve().client()
    client.send(head.encode())
    assert client.answer().status == status
    assert client.ended()


def test_at_the_limits(serve: Serve) -> None:
    client = serve().client()
    target = "/b/" + "k" * 8000
    assert client.get(target, **{f"X-{n}": "v" * 200 for n in range(90)}).status == 200


def test_environ(serve: Serve) -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return []

    running = serve(app)
    client = running.client()
    client.send(
        b"GET /b/%C3%A9%2F?a=%20&b HTTP/1.1\r\nHost: t:9\r\nX-A: 1\r\nx-a:  2 \r\nX_A: 3\r\nContent-Type: text/x\r\n"
        b"X-L: \xe9\r\nX-E:\r\n\r\n"
    )
    answer = client.answer()
    assert seen["REQUEST_METHOD"] == "GET"
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/b/é/"
    assert seen["QUERY_STRING"] == "a=%20&b"
    assert seen["REQUEST_URI"] == "/b/%C3%A9%2F?a=%20&b"
    assert seen["HTTP_HOST"] == "t:9"
    assert seen["HTTP_X_A"] == "1,2"
    assert seen["HTTP_X_L"] == "\xe9"
    assert seen["HTTP_X_E"] == ""
    assert seen["CONTENT_TYPE"] == "text/x"
    assert "CONTENT_LENGTH" not in seen
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["REMOTE_PORT"] == str(client.sock.getsockname()[1])
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("127.0.0.1", str(running.port))
    assert seen["ironbucket.request_id"] == answer.headers["x-amz-request-id"]
    assert seen["ironbucket.headers"] == [
        (b"host", b"t:9"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"x_a", b"3"),
        (b"content-type", b"text/x"),
        (b"x-l", b"\xe9"),
        (b"x-e", b""),
    ]


@pytest.mark.parametrize("target", ["http://t/b/k?q", "HTTP://T/b/k?q"])
def test_absolute_target(serve: Serve, target: str) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["REQUEST_URI"].encode()]

    assert serve(app).client().get(target).body == b"/b/k?q"


def test_an_offered_upgrade_is_ignored(serve: Serve) -> None:
    client = serve().client()
    client.send(
        b"PUT /b/k HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )
    assert client.answer().body == b"PUT /b/k abc"
    assert client.get(Connection="Upgrade", Upgrade="h2c").status == 200
    assert client.get().status == 200
