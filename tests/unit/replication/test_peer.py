"""A peer, as a client sees it: connections that were closed meanwhile, answers that come early, answers of others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ironbucket.replication.peer import Peer, PeerRefused, PeerUnreachable
from tests.unit.replication.served import SECRET

VECTOR = b'{"node": "node-2", "vector": {}}'


def answer(body: bytes, status: str = "200 OK", more: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + more + b"\r\n" + body


@contextmanager
def listening(*conversations: Callable[[socket.socket], None]) -> Iterator[Peer]:
    """A peer whose connections are each handled by the next of `conversations`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for talk in conversations:
                connection, _ = server.accept()
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        peer = Peer(f"127.0.0.1:{server.getsockname()[1]}", SECRET, "node-1", timeout=5)
        try:
            yield peer
        finally:
            peer.close()
            thread.join(10)


def once(response: bytes) -> Callable[[socket.socket], None]:
    """Answer one request, then close without a word."""

    def talk(connection: socket.socket) -> None:
        assert connection.recv(65536)
        connection.sendall(response)

    return talk


def test_a_connection_that_was_closed_while_it_was_idle_is_opened_again() -> None:
    with listening(once(answer(VECTOR)), once(answer(VECTOR))) as peer:
        assert peer.vector()["node"] == "node-2"
        assert peer.vector()["node"] == "node-2"


def test_a_new_connection_that_is_closed_is_an_error() -> None:
    with listening(lambda connection: None) as peer, pytest.raises(PeerUnreachable):
        peer.vector()


def test_an_answer_that_comes_before_the_payload_is_read(tmp_path: Path) -> None:
    """A full disk is reported as such, and not as a broken connection."""
    path = tmp_path / "payload"
    path.write_bytes(bytes(20_000_000))

    def refuse(connection: socket.socket) -> None:
        connection.recv(1024)
        body = b'{"code": "StorageFull", "message": "full"}'
        connection.sendall(answer(body, "503 Service Unavailable", b"Connection: close\r\n"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with listening(refuse) as peer, pytest.raises(PeerRefused, match="StorageFull"):
        peer.send_payload({"bucket": "b", "key": "k", "version": "v", "size": "20000000"}, str(path), 0)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"vector": 5}', b'{"vector": {"a": 1}}', b'{"vector": {"a": [1]}}'], ids=repr
)
def test_the_answer_of_another_program_is_not_believed(body: bytes) -> None:
    with listening(once(answer(body))) as peer, pytest.raises(PeerRefused, match="NotIronBucket"):
        peer.vector()
