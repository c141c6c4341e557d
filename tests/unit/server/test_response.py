"""What an application returns, and what of it the client gets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ironbucket.server.connection import IDLE

from .conftest import Running

Serve = Callable[..., Running]
TARGETS = ["/b/k", "/b"]  # served by the loop, served by a thread


class Closing:
    """An iterable that notes its end."""

    def __init__(self, pieces: list[bytes], fail: bool = False) -> None:
        self.pieces = pieces
        self.fail = fail
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.fail:
            raise RuntimeError("on purpose")

    def close(self) -> None:
        self.closed += 1

    def was_closed(self, times: int) -> bool:
        """The client may have the last byte before the server has closed the result."""
        deadline = time.monotonic() + 5
        while self.closed < times and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.closed == times


def returning(result: Any, *headers: tuple[str, str], status: str = "200 OK") -> Callable[..., Any]:
    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response(status, list(headers))
        return result

    return app


@pytest.mark.parametrize("target", TARGETS)
def test_a_list_gets_its_length(serve: Serve, target: str) -> None:
    answer = serve(returning([b"abc", b"", b"de"])).client().get(target)
    assert (answer.body, answer.headers["content-length"]) == (b"abcde", "5")


@pytest.mark.parametrize("target", TARGETS)
def test_an_iterator_is_chunked(serve: Serve, target: str) -> None:
    body = Closing([b"", b"abc", b"", b"x" * 100_000])
    client = serve(returning(body)).client()
    answer = client.get(target)
    assert (answer.body, answer.headers["transfer-encoding"]) == (b"abc" + b"x" * 100_000, "chunked")
    assert client.get(target).status == 200  # the connection is fit for more
    assert body.was_closed(2)


def test_an_iterator_with_a_length_is_sent_plain(serve: Serve) -> None:
    client = serve(returning(Closing([b"ab", b"c"]), ("Content-Length", "3"))).client()
    for _ in range(2):
        answer = client.get()
        assert (answer.body, "transfer-encoding" in answer.headers) == (b"abc", False)


def test_an_iterator_for_http_1_0_ends_with_the_connection(serve: Serve) -> None:
    client = serve(returning(Closing([b"ab", b"c"]))).client()
    client.send(b"GET /b/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"abc", "close")


def test_a_generator_may_start_the_response_late_and_read_the_body_between(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        while piece := environ["wsgi.input"].read(3):
            yield piece.upper()

    client = serve(app).client()
    client.send(b"POST /b HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\nabcdefgh")
    answer = client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"ABCDEFGH", "close")


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abc", b"defg"]])
def test_a_body_that_belies_its_length_is_never_taken_for_whole(serve: Serve, pieces: list[bytes]) -> None:
    body = Closing(pieces)
    client = serve(returning(body, ("Content-Length", "5"))).client()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.get()
    assert body.was_closed(1)


@pytest.mark.parametrize("target", TARGETS)
def test_a_list_that_belies_its_length_is_an_error(serve: Serve, target: str) -> None:
    answer = serve(returning([b"abc"], ("Content-Length", "5"))).client().get(target)
    assert (answer.status, b"<Code>InternalError</Code>" in answer.body) == (500, True)


@pytest.mark.parametrize("target", TARGETS)
def test_head(serve: Serve, target: str) -> None:
    client = serve(returning([b"abc"])).client()
    client.send(f"HEAD {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    assert client.answer(head_only=True).headers["content-length"] == "3"
    assert client.get(target).body == b"abc"


@pytest.mark.parametrize("result", [[], Closing([b"never sent"])], ids=["list", "iterator"])
def test_head_with_the_length_of_what_get_would_send(serve: Serve, result: Any) -> None:
    client = serve(returning(result, ("Content-Length", "1234"))).client()
    for _ in range(2):
        client.send(b"HEAD /b/k HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.answer(head_only=True).headers["content-length"] == "1234"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body(serve: Serve, target: str, status: str) -> None:
    client = serve(returning([b"never sent"], status=status)).client()
    answer = client.get(target)
    assert answer.status == int(status[:3])
    assert "content-length" not in answer.headers
    assert client.get(target).status == answer.status


@pytest.mark.parametrize("target", TARGETS)
def test_an_exception_is_an_internal_error(serve: Serve, target: str, caplog: pytest.LogCaptureFixture) -> None:
    def app(_: dict[str, Any], __: Any) -> list[bytes]:
        raise RuntimeError("on purpose")

    client = serve(app).client()
    with caplog.at_level(logging.CRITICAL):
        answer = client.get(target)
    assert answer.status == 500
    assert f"<RequestId>{answer.headers['x-amz-request-id']}</RequestId>".encode() in answer.body
    assert f"<Resource>{target}</Resource>".encode() in answer.body
    assert b"on purpose" not in answer.body
    assert client.get(target).status == 500  # the connection is fit for more


def test_an_exception_in_the_middle_resets_the_connection(serve: Serve) -> None:
    body = Closing([b"abc"], fail=True)
    client = serve(returning(body)).client()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.get()
    assert body.was_closed(1)


def test_start_response_with_exc_info_replaces_the_answer(serve: Serve) -> None:
    import sys

    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise RuntimeError("on purpose")
        except RuntimeError:
            start_response("418 Teapot", [], sys.exc_info())
        return [b"short"]

    assert serve(app).client().get().status == 418


@pytest.mark.parametrize("headers", [[("X", "a\r\nY: b")], [("X\r\nY", "b")], [("X", "a\nb")], [("X", "€")]])
def test_response_headers_cannot_be_split(serve: Serve, headers: list[tuple[str, str]]) -> None:
    answer = serve(returning([b""], *headers)).client().get()
    assert answer.status == 500
    assert "y" not in answer.headers


def test_the_applications_own_date_server_and_request_id_stand(serve: Serve) -> None:
    own = [("date", "then"), ("Server", "mine"), ("X-Amz-Request-Id", "its")]
    answer = serve(returning([b""], *own)).client().get()
    assert (answer.headers["date"], answer.headers["server"], answer.headers["x-amz-request-id"]) == (
        "then",
        "mine",
        "its",
    )


def test_the_application_may_close_the_connection(serve: Serve) -> None:
    client = serve(returning([b"x"], ("Connection", "close"))).client()
    assert client.get().headers["connection"] == "close"
    assert client.ended()


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
@pytest.mark.parametrize("late", [False, True])
def test_the_loop_never_waits_on_a_socket_that_comes_back(serve: Serve, status: str, late: bool) -> None:
    """After a body was read with a timeout and the answer was an iterator, others are served at once."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def generate() -> Iterator[bytes]:
            if late:
                start_response(status, [])
            yield b""

        environ["wsgi.input"].read()
        if not late:
            start_response(status, [])
        return generate()

    running = serve(app)
    client = running.client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n")
    time.sleep(0.05)  # so that the thread has to wait for the body
    client.send(b"abc")
    assert client.answer().status == int(status[:3])
    [conn] = running.server.loop.connections.values()
    deadline = time.monotonic() + 5
    while conn.state != IDLE and time.monotonic() < deadline:  # the answer arrives before the connection is given back
        time.sleep(0.005)
    assert conn.sock.gettimeout() == 0
    client.send(b"G")
    assert running.client(timeout=5).get().status == int(status[:3])


def test_write(serve: Serve) -> None:
    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"abc")
        return [b"def"]

    assert serve(app).client().get().body == b"abcdef"


def test_wsgi_input_is_a_file(serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        body = environ["wsgi.input"]
        return [repr([body.readline(), body.read(2), body.readline(2), list(body), body.read()]).encode()]

    client = serve(app).client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 16\r\n\r\none\ntwo three\n45")
    assert client.answer().body == repr([b"one\n", b"tw", b"o ", [b"three\n", b"45"], b""]).encode()


def test_the_servers_protocol_is_pep_3333(serve: Serve) -> None:
    from wsgiref.validate import validator

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read(10) if environ["REQUEST_METHOD"] == "PUT" else b"none"
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    client = serve(validator(app)).client()
    assert client.get().body == b"none"
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")
    assert client.answer().body == b"abc"
