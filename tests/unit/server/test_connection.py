"""One connection: keep-alive, pipelining, bodies, early answers, and clients that misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ironbucket import errors

from .conftest import Running, echo

Serve = Callable[..., Running]
BIG = 8 * 1024 * 1024


def reading(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Reads the body into a buffer, and says which error ended that."""
    buffer = memoryview(bytearray(65536))
    count = 0
    try:
        while got := environ["wsgi.input"].readinto(buffer):
            count += got
    except errors.S3Error as error:
        start_response("400 Bad Request", [])
        return [error.code.encode()]
    start_response("200 OK", [])
    return [b"%d" % count]


def refusing(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers without reading the body."""
    start_response("403 Forbidden", [])
    return [b"no"]


def test_requests_follow_each_other_on_one_connection(serve: Serve) -> None:
    client = serve().client()
    for number in range(5):
        answer = client.get(f"/b/{number}")
        assert (answer.status, answer.body) == (200, b"GET /b/%d " % number)
        assert "connection" not in answer.headers
        assert answer.headers["server"] == "IronBucket"
        assert len(answer.headers["x-amz-request-id"]) == 16
        assert answer.headers["date"].endswith("GMT")


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    """In the loop and in threads alternately, some with bodies, cut anywhere."""
    client = serve().client()
    text = b""
    expected = []
    for number in range(40):
        if number % 3 == 0:
            text += b"GET /b/%d HTTP/1.1\r\nHost: t\r\n\r\n" % number
            expected.append(b"GET /b/%d " % number)
        elif number % 3 == 1:
            text += b"PUT /b/%d HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody" % number
            expected.append(b"PUT /b/%d body" % number)
        else:
            text += b"\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"
            expected.append(b"GET / ")
    for start in range(0, len(text), 97):
        client.send(text[start : start + 97])
    assert [client.answer().body for _ in expected] == expected


def test_a_chunked_body_with_trailers_then_another_request(serve: Serve) -> None:
    client = serve().client()
    client.send(
        b"PUT /b/k HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4;x=y\r\n\r\n\r\n\r\n0\r\nX-T: v\r\n\r\nGET /b/next HTTP/1.1\r\nHost: t\r\n\r\n"
    )
    assert client.answer().body == b"PUT /b/k abc\r\n\r\n"
    assert client.answer().body == b"GET /b/next "


@pytest.mark.parametrize("chunked", [False, True])
def test_100_continue_is_sent_when_the_body_is_asked_for(serve: Serve, chunked: bool) -> None:
    client = serve().client()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 4"
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n" + framing + b"\r\n\r\n")
    assert client.answer().status == 100
    client.send(b"4\r\nbody\r\n0\r\n\r\n" if chunked else b"body")
    assert client.answer().body == b"PUT /b/k body"
    assert client.get().status == 200


def test_100_continue_is_not_sent_when_the_body_is_not_wanted(serve: Serve) -> None:
    client = serve(refusing).client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    answer = client.answer()
    assert (answer.status, answer.headers["connection"]) == (403, "close")
    assert client.ended()


def test_a_small_unwanted_body_is_dropped_and_the_connection_kept(serve: Serve) -> None:
    client = serve(refusing).client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))
    assert "connection" not in client.answer().headers
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert "connection" not in client.answer().headers


@pytest.mark.parametrize("chunked", [False, True])
def test_an_early_answer_reaches_a_client_that_sends_on(serve: Serve, chunked: bool) -> None:
    """The client writes its whole body before it looks at the answer, as most libraries do."""
    client = serve(refusing).client()
    if chunked:
        client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(BIG // 65536):
            client.send(b"10000\r\n" + bytes(65536) + b"\r\n")
    else:
        client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % BIG)
        client.send(bytes(BIG))
    answer = client.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (403, b"no", "close")
    assert client.ended()


def test_a_body_that_ends_early(serve: Serve) -> None:
    client = serve(reading).client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nless")
    client.sock.shutdown(1)
    answer = client.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (400, b"IncompleteBody", "close")


def test_a_body_that_stalls(serve: Serve) -> None:
    client = serve(reading, body_timeout=0.1).client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nless")
    answer = client.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (400, b"RequestTimeout", "close")
    assert client.ended()


def test_a_body_that_drips(serve: Serve) -> None:
    client = serve(reading, body_timeout=5, rate_window=0.2, min_body_rate=1000).client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n")
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            client.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert client.answer().body == b"RequestTimeout"
    finally:
        stop.set()
        thread.join()


def test_malformed_chunks(serve: Serve) -> None:
    client = serve(reading).client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n")
    answer = client.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (400, b"InvalidRequest", "close")
    assert client.ended()


def test_more_than_promised_is_taken_for_a_request_and_refused(serve: Serve) -> None:
    client = serve().client()
    client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc" + b"more than was promised\r\n")
    assert client.answer().body == b"PUT /b/k abc"
    answer = client.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert client.ended()


def test_a_client_that_leaves_during_its_request(serve: Serve) -> None:
    left = threading.Event()
    ended: list[str] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        try:
            return reading(environ, start_response)
        finally:
            ended.append(environ["PATH_INFO"])
            left.set()

    running = serve(app)
    with running.client() as client:
        client.send(b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nless")
    assert left.wait(5)
    assert running.client().get("/").status == 200


def test_closing_when_asked(serve: Serve) -> None:
    client = serve().client()
    answer = client.get(Connection="close")
    assert answer.headers["connection"] == "close"
    assert client.ended()


def test_http_1_0(serve: Serve) -> None:
    running = serve()
    client = running.client()
    client.send(b"GET /b/k HTTP/1.0\r\n\r\n")
    assert client.answer().headers["connection"] == "close"
    assert client.ended()
    client = running.client()
    for _ in range(2):
        client.send(b"GET /b/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.answer().headers["connection"] == "keep-alive"


def test_a_head_that_drips_is_cut_off(serve: Serve) -> None:
    client = serve(header_timeout=0.2).client()
    client.send(b"GET /b/k HTTP/1.1\r\nHo")
    answer = client.answer()
    assert (answer.status, b"<Code>RequestTimeout</Code>" in answer.body) == (400, True)
    assert client.ended()


def test_idle_connections_expire(serve: Serve) -> None:
    client = serve(idle_timeout=0.2).client()
    assert client.get().status == 200
    assert client.ended()


@pytest.mark.parametrize("size", range(1, 9))
def test_a_head_may_arrive_in_pieces(serve: Serve, size: int) -> None:
    client = serve().client()
    text = b"GET /b/k%41 HTTP/1.1\r\nHost: t\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
    for start in range(0, len(text), size):
        client.send(text[start : start + size])
        time.sleep(0.002)  # the server shall see each by itself
    assert client.answer().body == b"GET /b/kA "


def test_no_thread_is_left_to_answer(serve: Serve) -> None:
    """What needs a thread is refused at once, what needs none is served."""
    go = threading.Event()
    began = threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "PUT":
            began.set()
            go.wait(10)
        return echo(environ, start_response)

    running = serve(app, threads_kept=1, threads_max=1)
    first, second = running.client(), running.client()
    put = b"PUT /b/k HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx"
    first.send(put)
    assert began.wait(5)
    second.send(put)
    refused = second.answer()
    assert (refused.status, b"<Code>SlowDown</Code>" in refused.body, refused.headers["retry-after"]) == (
        503,
        True,
        "1",
    )
    assert running.client().get().status == 200
    go.set()
    assert first.answer().status == 200
    deadline = time.monotonic() + 5
    while running.server.pool.idle < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    third = running.client()
    third.send(put)
    assert third.answer().status == 200


def test_an_inline_application_may_ask_for_a_thread(serve: Serve) -> None:
    seen: list[tuple[bool, str]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes] | None:
        seen.append((environ["ironbucket.inline"], threading.current_thread().name))
        if environ["ironbucket.inline"]:
            return None
        start_response("200 OK", [])
        return [b"from a thread"]

    running = serve(app)
    assert running.client().get().body == b"from a thread"
    assert seen == [(True, running.thread.name), (False, "pool")]


def test_where_requests_are_served(serve: Serve) -> None:
    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [threading.current_thread().name.encode()]

    running = serve(app)
    client = running.client()
    loop = running.thread.name.encode()
    assert client.get("/b/k?versionId=1").body == loop
    assert client.get("/-/health").body == loop
    for target in ("/", "/b", "/b/", "/-/replicate/x"):
        assert client.get(target).body == b"pool"
    client.send(b"DELETE /b/k HTTP/1.1\r\nHost: t\r\n\r\n")
    assert client.answer().body == b"pool"
