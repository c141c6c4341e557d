"""Parts of files, to clients quick, slow and gone."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ironbucket.server.sendfile import Abort, FileBody, read_cached, read_extents

from .conftest import Running

Serve = Callable[..., Running]
BIG = 32 * 1024 * 1024


class Files:
    """An application that answers with extents, and counts what it has opened and closed."""

    def __init__(self, *extents: tuple[Path, int, int], length: int | None = None) -> None:
        self.extents = extents
        self.length = sum(extent[2] for extent in extents) if length is None else length
        self.opened = self.closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] == "/b/small":
            start_response("200 OK", [])
            return [b"small"]
        self.opened += 1
        files = [os.open(path, os.O_RDONLY) for path, _, _ in self.extents]

        def close() -> None:
            self.closed += 1
            for fd in files:
                os.close(fd)

        start_response("200 OK", [("Content-Length", str(self.length))])
        return FileBody([(fd, at, count) for fd, (_, at, count) in zip(files, self.extents, strict=True)], close)

    def all_closed(self) -> bool:
        deadline = time.monotonic() + 5
        while self.closed != self.opened and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.closed == self.opened


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1024 * 1024) * (BIG // (1024 * 1024)))
    return path


@pytest.mark.parametrize("target", ["/b/k", "/b"])
@pytest.mark.parametrize("size", [0, 1, 1024, 65536, 65537, 3_000_000])
def test_a_file(serve: Serve, big: Path, target: str, size: int) -> None:
    app = Files((big, 7, size))
    client = serve(app).client()
    for _ in range(2):
        assert client.get(target).body == big.read_bytes()[7 : 7 + size]
    client.send(f"HEAD {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    assert client.answer(head_only=True).headers["content-length"] == str(size)
    assert app.opened == 3
    assert app.all_closed()


@pytest.mark.parametrize("size", [10, 500_000])
def test_parts_of_several_files(serve: Serve, tmp_path: Path, size: int) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(os.urandom(size))
    extents = [(paths[0], 3, size - 5), (paths[1], 0, 0), (paths[2], 0, size), (paths[0], 1, 2)]
    expected = b"".join(path.read_bytes()[at : at + count] for path, at, count in extents)
    app = Files(*extents)
    assert serve(app).client().get().body == expected
    assert app.all_closed()


@pytest.mark.parametrize("target", ["/b/k", "/b"])
def test_a_large_file_shorter_than_its_extent_resets_the_connection(serve: Serve, tmp_path: Path, target: str) -> None:
    path = tmp_path / "short"
    path.write_bytes(bytes(999_999))
    app = Files((path, 0, 1_000_000))
    with pytest.raises((EOFError, ConnectionResetError)):
        serve(app).client().get(target)
    assert app.all_closed()


@pytest.mark.parametrize("target", ["/b/k", "/b"])
def test_a_small_file_shorter_than_its_extent_is_an_error(serve: Serve, tmp_path: Path, target: str) -> None:
    path = tmp_path / "short"
    path.write_bytes(bytes(999))
    app = Files((path, 0, 1000))
    assert serve(app).client().get(target).status == 500
    assert app.all_closed()


def test_slow_readers_hold_no_thread(serve: Serve, big: Path) -> None:
    """More clients than threads take nothing of their large answers; others are served, and in the end they too."""
    app = Files((big, 0, BIG))
    running = serve(app, threads_kept=1, threads_max=2)
    slow = []
    for _ in range(6):
        client = running.client(timeout=30)
        client.send(b"GET /b/k HTTP/1.1\r\nHost: t\r\n\r\n")
        time.sleep(0.25)  # until its thread has given up waiting: there are two
        slow.append(client)
    assert running.client().get("/b/small").body == b"small"
    digest = hashlib.sha256(big.read_bytes()).digest()
    for client in slow[:3]:
        assert hashlib.sha256(client.answer().body).digest() == digest
    for client in slow:
        client.close()
    assert app.all_closed()


def test_a_client_that_takes_nothing_is_cut_off(serve: Serve, big: Path) -> None:
    app = Files((big, 0, BIG))
    client = serve(app, send_timeout=0.3).client()
    client.send(b"GET /b/k HTTP/1.1\r\nHost: t\r\n\r\n")
    assert app.opened or app.all_closed()
    time.sleep(0.5)
    assert app.all_closed()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.answer()


def test_a_slow_reader_of_a_small_answer(serve: Serve) -> None:
    """Larger than what the socket takes at once: the loop sends the rest, and the next pipelined answer after it."""
    body = os.urandom(8_000_000)

    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [body]

    client = serve(app).client(timeout=30)
    client.send(
        b"GET /b/k HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\nGET /b/k HTTP/1.1\r\nHost: t\r\n\r\n"
    )
    time.sleep(0.2)
    for _ in range(3):
        assert client.answer().body == body


def test_file_body_as_an_iterator(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert b"".join(FileBody([(fd, 1, 3), (fd, 8, 2)], lambda: None)) == b"12389"
        with pytest.raises(Abort):
            list(FileBody([(fd, 1, 30)], lambda: None))
        assert read_extents([(fd, 1, 3), (fd, 8, 2)]) == b"12389"
        assert read_cached(fd, 1, 3) in (b"123", None)
        with pytest.raises(Abort):
            read_extents([(fd, 8, 3)])
        with pytest.raises(Abort):
            read_cached(fd, 8, 3)
    finally:
        os.close(fd)
