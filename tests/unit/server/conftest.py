"""A server in a thread of the test's process, and a client that says exactly what it is told to."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from ironbucket.server.httpd import Limits, Server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A TCP connection."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.data = bytearray()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive_more(self) -> bool:
        data = self.sock.recv(65536)
        self.data += data
        return bool(data)

    def answer(self, *, head_only: bool = False) -> Answer:
        """The next answer. EOFError if the connection ends before it does."""
        while b"\r\n\r\n" not in self.data:
            if not self.receive_more():
                raise EOFError(self.data)
        head = self.take(self.data.index(b"\r\n\r\n") + 4)[:-4]
        first, *lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)
        assert match, first
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert len(headers) == len(lines), f"a header is repeated: {lines}"
        status = int(match[1])
        if head_only or status in (204, 304) or status < 200:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunked())
        if "content-length" in headers:
            return Answer(status, headers, self.take(int(headers["content-length"])))
        while self.receive_more():
            pass
        return Answer(status, headers, self.take(len(self.data)))

    def _chunked(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self.data:
                if not self.receive_more():
                    raise EOFError(body)
            size = self.take(self.data.index(b"\r\n") + 2)
            piece = self.take(int(size, 16) + 2)
            assert piece.endswith(b"\r\n")
            if piece == b"\r\n":
                return body
            body += piece[:-2]

    def take(self, count: int) -> bytes:
        while len(self.data) < count:
            if not self.receive_more():
                raise EOFError(self.data)
        data = bytes(self.data[:count])
        del self.data[:count]
        return data

    def ended(self) -> bool:
        """Has the server closed, in order, with nothing left to read?"""
        return not self.receive_more() and not self.data

    def get(self, target: str = "/b/k", **headers: str) -> Answer:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"GET {target} HTTP/1.1\r\nHost: t\r\n{lines}\r\n".encode())
        return self.answer()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Running:
    """A server and the way to it."""

    def __init__(self, app: Callable[..., Any], limits: Limits, **more: Any) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = listener.getsockname()[1]
        self.server = Server(listener, app, limits=limits, **more)
        self.server.prepare()
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()
        self.clients: list[Client] = []

    def client(self, timeout: float = 10) -> Client:
        client = Client(self.port, timeout)
        self.clients.append(client)
        return client

    def stop(self) -> None:
        for client in self.clients:
            client.close()
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers with method, path and body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode("latin-1") + body]


QUICK = {"drain_idle": 0.0, "shutdown_timeout": 3.0}


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """serve(app, limits fields...) -> Running"""
    running: list[Running] = []

    def start(app: Callable[..., Any] = echo, *, more: dict[str, Any] | None = None, **limits: Any) -> Running:
        running.append(Running(app, Limits(**{**QUICK, **limits}), **(more or {})))
        return running[-1]

    yield start
    for each in running:
        each.stop()
