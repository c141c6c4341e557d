"""Clients that stall, cut short, send too much, vanish, drip, or just sit there. Timeouts are set short here."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import BUCKET, client_of, make_bucket
from tests.harness import storage
from tests.harness.process import NodeProcess, wait_until
from tests.harness.raw import RawClient, head, read_answer
from tests.harness.signing import UNSIGNED

MIB = 1 << 20


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    settings = {"HEADER_TIMEOUT": 1, "BODY_TIMEOUT": 1, "IDLE_TIMEOUT": 3, "MIN_BODY_RATE": 1000}
    with NodeProcess(tmp_path_factory.mktemp("hostile"), **settings) as node:
        make_bucket(node)
        yield node
        assert node.running(), node.log_tail()


@pytest.fixture
def client(node: NodeProcess) -> Iterator[RawClient]:
    """And afterwards: nothing of what was not finished is on disk, and the node answers."""
    yield client_of(node)
    wait_until(lambda: storage.strays(node) == [], f"no file is left over: {storage.strays(node)}", timeout=5)
    assert client_of(node).request("GET", BUCKET).status == 200


def put(client: RawClient, key: str, length: int, **more: str) -> bytes:
    """The head of a signed PUT that promises `length` bytes."""
    headers = client.signer.header("PUT", client.host, f"/{BUCKET}/{key}", digest=UNSIGNED)
    return head("PUT", f"/{BUCKET}/{key}", {**headers, "Content-Length": str(length), **more})


def closed(connection: socket.socket, within: float = 10) -> bytes:
    """All that comes until the server closes; AssertionError if it does not."""
    connection.settimeout(within)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize("sent", [0, 1, 70_000])
def test_a_body_that_stalls(client: RawClient, sent: int) -> None:
    with client.connect() as connection:
        connection.sendall(put(client, "stall", 100_000) + b"x" * sent)
        answer = closed(connection)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert b"<Code>RequestTimeout</Code>" in answer
    assert client.request("HEAD", BUCKET, "stall").status == 404


def test_a_body_that_drips(client: RawClient) -> None:
    """A byte now and then keeps no connection: the rate counts."""
    with client.connect() as connection:
        connection.sendall(put(client, "drip", 100_000))
        started = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < 15:
                connection.sendall(b"x")
                time.sleep(0.2)
                connection.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    if connection.recv(1, socket.MSG_PEEK):
                        break
        answer = closed(connection)
    assert b"<Code>RequestTimeout</Code>" in answer, answer[:300]
    assert client.request("HEAD", BUCKET, "drip").status == 404


def test_headers_that_drip(client: RawClient) -> None:
    with client.connect() as connection:
        started = time.monotonic()
        ended = False
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 200:
                connection.sendall(bytes([byte]))
                connection.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    data = connection.recv(100)
                    assert data == b"" or data.startswith(b"HTTP/1.1 4"), data
                    ended = True
                    break
            else:
                raise AssertionError("the server waits for headers without end")
        assert ended or time.monotonic() - started < 20


@pytest.mark.parametrize("sent", [0, 10, 99_999])
def test_less_than_promised(client: RawClient, sent: int) -> None:
    with client.connect() as connection:
        connection.sendall(put(client, "short", 100_000) + b"x" * sent)
        connection.shutdown(socket.SHUT_WR)
        answer = closed(connection)
    assert answer == b"" or b"<Code>IncompleteBody</Code>" in answer, answer[:300]
    assert client.request("HEAD", BUCKET, "short").status == 404


def test_more_than_promised(client: RawClient) -> None:
    with client.connect() as connection:
        connection.sendall(put(client, "long", 4) + b"datasurplus\r\n\r\n")
        answers = closed(connection)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert answers.count(b"HTTP/1.1 200 ") == 1
    assert client.request("GET", BUCKET, "long").body == b"data"


@pytest.mark.parametrize("sent", [0, 1000, 5 * MIB])
def test_gone_halfway(client: RawClient, sent: int) -> None:
    for _ in range(5):
        with client.connect() as connection:
            connection.sendall(put(client, "gone", 10 * MIB) + b"x" * sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    assert client.request("HEAD", BUCKET, "gone").status == 404


def test_gone_while_reading_gives_everything_back(client: RawClient, node: NodeProcess) -> None:
    client.request("PUT", BUCKET, "big", body=b"z" * (16 * MIB))
    headers = client.signer.header("GET", client.host, f"/{BUCKET}/big")

    def descriptors() -> int:
        return sum(storage.open_descriptors(pid) for pid in node.workers() or [node.pid])

    for _ in range(5):
        client.request("GET", BUCKET, "big")
    before = descriptors()
    for _ in range(40):
        with client.connect() as connection:
            connection.sendall(head("GET", f"/{BUCKET}/big", headers))
            connection.recv(1000)
    wait_until(lambda: descriptors() <= before + 4, f"descriptors are given back: {before} -> {descriptors()}")


def test_a_reader_that_stands_still_is_let_go(client: RawClient) -> None:
    client.request("PUT", BUCKET, "big", body=b"z" * (64 * MIB))
    headers = client.signer.header("GET", client.host, f"/{BUCKET}/big")
    with client.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(head("GET", f"/{BUCKET}/big", headers))
        for _ in range(20):
            assert client.request("GET", BUCKET).status == 200
        time.sleep(4)
        assert len(closed(connection)) < 64 * MIB


def test_slow_readers_do_not_hold_up_others(client: RawClient) -> None:
    client.request("PUT", BUCKET, "big", body=b"z" * (64 * MIB))
    headers = client.signer.header("GET", client.host, f"/{BUCKET}/big")
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(client.connect())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(head("GET", f"/{BUCKET}/big", headers))
        for i in range(20):
            assert client.request("GET", BUCKET).status == 200
            assert client.request("PUT", BUCKET, f"meanwhile{i}", body=b"x").status == 200


def test_stalled_writers_do_not_hold_up_others(client: RawClient) -> None:
    with contextlib.ExitStack() as stack:
        for i in range(60):
            connection = stack.enter_context(client.connect())
            connection.sendall(put(client, f"stalled{i}", 1000) + b"x")
        for i in range(20):
            assert client.request("PUT", BUCKET, f"meanwhile{i}", body=b"x").status == 200
            assert client.request("GET", BUCKET, f"meanwhile{i}").body == b"x"


def test_a_thousand_idle_connections(client: RawClient, node: NodeProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(client.connect()) for _ in range(1000)]
            for _ in range(50):
                assert client.request("GET", BUCKET).status == 200
            # and a connection that was idle is still good, or was closed in an orderly way
            headers = client.signer.header("GET", client.host, f"/{BUCKET}")
            connections[500].sendall(head("GET", f"/{BUCKET}", headers))
            assert read_answer(connections[500]).status == 200
            wait_until(
                lambda: sum(storage.open_descriptors(pid) for pid in node.workers() or [node.pid]) < 300,
                "idle connections are closed after the idle timeout",
                timeout=20,
                interval=0.2,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_kept_connection_ends_after_the_idle_timeout(client: RawClient) -> None:
    with client.connect() as connection:
        headers = client.signer.header("GET", client.host, f"/{BUCKET}")
        connection.sendall(head("GET", f"/{BUCKET}", headers))
        assert read_answer(connection).status == 200
        assert closed(connection, within=15) == b""


def test_large_bodies_cost_no_memory(client: RawClient, node: NodeProcess, tmp_path: Path) -> None:
    size = 300 * MIB
    with client.connect() as connection:
        connection.sendall(put(client, "huge", size))
        for _ in range(size // MIB):
            connection.sendall(b"h" * MIB)
        assert read_answer(connection, "PUT").status == 200
    headers = client.signer.header("GET", client.host, f"/{BUCKET}/huge")
    with client.connect() as connection:
        connection.sendall(head("GET", f"/{BUCKET}/huge", headers))
        received, buffer = 0, bytearray(MIB)
        while received < size and (count := connection.recv_into(buffer)):
            received += count
    for pid in node.workers() or [node.pid]:
        now, highest = storage.memory(pid)
        assert highest < 80 * MIB, f"worker {pid}: {now / MIB:.0f} MiB now, {highest / MIB:.0f} MiB at most"
    client.request("DELETE", BUCKET, "huge")


def test_a_body_for_a_refused_request_is_not_read_into_memory(client: RawClient, node: NodeProcess) -> None:
    request = head("PUT", f"/{BUCKET}/refused", {"Host": client.host, "Content-Length": str(200 * MIB)})
    with client.connect() as connection:
        connection.sendall(request)
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 200 * MIB:
                sent += connection.send(b"r" * MIB)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")
    for pid in node.workers() or [node.pid]:
        assert storage.memory(pid)[1] < 80 * MIB


def test_tls_on_a_plain_port(client: RawClient) -> None:
    for greeting in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
        b"SSH-2.0-x\r\n",
        b"\x00" * 5000,
    ):
        received = client.exchange(greeting, timeout=5)
        assert received == b"" or received.startswith(b"HTTP/1.1 400"), received[:100]
