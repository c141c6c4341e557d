"""The load balancer's configuration, run by a real nginx: what reaches a node, how often, and what never does."""

from __future__ import annotations

import http.client
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .balancer import TOP, Backend, Balancer, free_port, render

Start = Callable[..., Balancer]
MIB = 1 << 20


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    started = [Backend("node-1"), Backend("node-2")]
    yield started
    for backend in started:
        backend.stop()


@pytest.fixture
def start(tmp_path: Path, backends: list[Backend]) -> Iterator[Start]:
    started: list[Balancer] = []

    def begin(**variables: Any) -> Balancer:
        started.append(Balancer(tmp_path, variables.pop("backends", backends), **variables))
        return started[-1]

    yield begin
    for balancer in started:
        balancer.stop()


def ask(balancer: Balancer, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    """(status, body) of one request; `target` goes out as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=30)
    try:
        connection.request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def first(balancer: Balancer, backends: list[Backend]) -> tuple[Backend, Backend]:
    """(the node that this client's requests go to, the other one)."""
    name = ask(balancer, "GET", "/")[1].decode()
    for backend in backends:
        backend.seen.clear()
    return (backends[0], backends[1]) if name == "node-1" else (backends[1], backends[0])


def total(backends: list[Backend]) -> int:
    return sum(len(backend.seen) for backend in backends)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_host_and_target_reach_the_node_as_the_client_sent_them(
    start: Start, backends: list[Backend], method: str
) -> None:
    balancer = start()
    target = "/bucket/a//b/%2e%2e/c%2Fd%20e?prefix=%2F&list-type=2"
    assert ask(balancer, method, target, b"x" if method != "GET" else None, Host="s3.example.org:20000")[0] == 200
    ((seen_method, seen_target, headers, _),) = backends[0].seen + backends[1].seen
    assert (seen_method, seen_target, headers["host"]) == (method, target, "s3.example.org:20000")
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert "x-ironbucket-method" not in headers or method in {"GET", "POST"}


def test_headers_with_any_legal_name_reach_the_node(start: Start, backends: list[Backend]) -> None:
    balancer = start()
    ask(balancer, "PUT", "/b/k", b"x", **{"x-amz-meta-a.b": "1", "x_amz_y": "2"})
    headers = (backends[0].seen + backends[1].seen)[0][2]
    assert headers["x-amz-meta-a.b"] == "1"


def test_a_client_stays_with_its_node(start: Start, backends: list[Backend]) -> None:
    balancer = start()
    mine, other = first(balancer, backends)
    for method in ("GET", "PUT", "DELETE", "POST", "HEAD"):
        assert ask(balancer, method, "/b/k")[0] == 200
    assert ask(balancer, "PUT", "/b/large", bytes(MIB))[0] == 200
    assert (len(mine.seen), len(other.seen)) == (6, 0)


# what a second node is asked for, and what it is not


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_that_its_node_did_not_answer_goes_to_the_other(
    start: Start, backends: list[Backend], method: str
) -> None:
    balancer = start()
    mine, other = first(balancer, backends)
    mine.hangs_up = True
    assert ask(balancer, method, "/b/k")[0] == 200
    assert (len(mine.seen), len(other.seen)) == (1, 1)


@pytest.mark.parametrize(
    ("method", "body", "headers"),
    [
        ("PUT", b"small", {}),
        ("PUT", b"", {}),
        ("PUT", bytes(100_000), {}),
        ("PUT", bytes(999_999), {}),
        ("PUT", bytes(1_000_000), {}),
        ("PUT", bytes(4 * MIB), {}),
        ("PUT", b"5\r\nchunk\r\n2\r\ned\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        ("DELETE", None, {}),
        ("POST", b"<Delete/>", {}),
        ("POST", None, {}),
    ],
    ids=[
        "small",
        "empty",
        "medium",
        "largest-small",
        "smallest-large",
        "large",
        "chunked",
        "delete",
        "post",
        "post-empty",
    ],
)
def test_a_write_that_was_sent_is_never_sent_again(
    start: Start, backends: list[Backend], method: str, body: Any, headers: dict[str, str]
) -> None:
    balancer = start()
    mine, _ = first(balancer, backends)
    mine.hangs_up = True
    status, said = ask(balancer, method, "/b/k", body, **headers)
    assert status == 503
    assert b"<Code>ServiceUnavailable</Code>" in said
    assert total(backends) == 1


@pytest.mark.parametrize("size", [1000, 100_000, 655_000, 999_999, 1_000_000])
def test_a_put_that_arrived_before_nginx_looked_is_never_sent_again(
    start: Start, backends: list[Backend], size: int
) -> None:
    balancer = start()
    mine, _ = first(balancer, backends)
    mine.hangs_up = True
    balancer.stall()
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=30) as client:
        sender = threading.Thread(
            target=client.sendall,
            args=(b"PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: %d\r\n\r\n" % size + bytes(size),),
        )
        sender.start()
        sender.join(0.2)  # as much as fits between the two is there now
        balancer.resume()
        assert client.recv(12) == b"HTTP/1.1 503"
        sender.join()
    assert total(backends) == 1


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("PUT", b"small"), ("PUT", bytes(4 * MIB)), ("DELETE", None), ("POST", b"<Delete/>")],
    ids=["get", "put-small", "put-large", "delete", "post"],
)
def test_any_request_goes_to_the_other_node_when_its_own_refuses_connections(
    start: Start, backends: list[Backend], method: str, body: bytes | None
) -> None:
    balancer = start()
    mine, other = first(balancer, backends)
    mine.stop()
    backends.remove(mine)
    assert ask(balancer, method, "/b/k", body)[0] == 200
    assert [(seen[0], seen[3]) for seen in other.seen] == [(method, len(body or b""))]


def test_a_drained_node_gets_nothing_and_the_others_keep_their_clients(start: Start, backends: list[Backend]) -> None:
    balancer = start(drained=("node-1",))
    for _ in range(4):
        assert ask(balancer, "GET", "/")[1] == b"node-2"
        assert ask(balancer, "PUT", "/b/k", b"x")[1] == b"node-2"
    assert not backends[0].seen


def test_without_a_living_node_the_client_hears_it_in_the_words_of_s3(start: Start) -> None:
    balancer = start(upstream=[{"name": "node-1", "address": f"127.0.0.1:{free_port()}"}])
    for method in ("GET", "PUT"):
        status, said = ask(balancer, method, "/b/k")
        assert status == 503
        assert b"<Code>ServiceUnavailable</Code>" in said


# nothing on disk, nothing held back


def test_a_large_body_is_passed_on_while_it_arrives_and_never_put_on_disk(
    start: Start, backends: list[Backend]
) -> None:
    balancer = start()
    mine, _ = first(balancer, backends)
    size = 32 * MIB
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=30) as client:
        client.sendall(b"PUT /b/large HTTP/1.1\r\nHost: s3\r\nContent-Length: %d\r\n\r\n" % size)
        client.sendall(bytes(MIB))
        assert mine.arrived.wait(30), "the node has nothing although a MiB was sent"
        for _ in range(31):
            client.sendall(bytes(MIB))
        assert client.recv(12) == b"HTTP/1.1 200"
    assert mine.seen[0][3] == size
    assert not balancer.spooled()
    assert "temporary file" not in balancer.errors()


def test_a_slow_reader_of_a_large_object_puts_nothing_on_disk(start: Start, backends: list[Backend]) -> None:
    balancer = start()
    for backend in backends:
        backend.download = bytes(32 * MIB)
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=30) as client:
        client.sendall(b"GET /b/large HTTP/1.1\r\nHost: s3\r\nConnection: close\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.1 200")
        assert not balancer.spooled()
        while client.recv(MIB):
            pass
    assert "temporary file" not in balancer.errors()


# closed paths


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "target",
    [
        "/-/replicate/log",
        "/-/",
        "/-",
        "/%2D/replicate/log",
        "/%2d%2freplicate/log",
        "/-%2Freplicate/log",
        "//-/replicate/log",
        "/./-/replicate/log",
        "/bucket/../-/replicate/log",
        "/-/replicate/../../bucket/key",
        "/-/health/../replicate/log",
        "/-/health2",
        "/%2d/health",
    ],
)
def test_cluster_paths_are_closed(start: Start, backends: list[Backend], method: str, target: str) -> None:
    balancer = start()
    assert ask(balancer, method, target)[0] == 403
    assert ask(balancer, method, f"http://s3.example.org{target}")[0] == 403
    assert not total(backends)


def test_health_is_open(start: Start, backends: list[Backend]) -> None:
    balancer = start()
    status, said = ask(balancer, "GET", "/-/health")
    assert (status, said) in {(200, b"node-1"), (200, b"node-2")}


def test_a_client_cannot_speak_for_the_balancer(start: Start, backends: list[Backend]) -> None:
    balancer = start()
    ask(balancer, "PUT", "/b/k", b"x", X_IronBucket_Method="GET", X_IronBucket_Client="192.0.2.1")
    ((method, _, headers, _),) = backends[0].seen + backends[1].seen
    assert method == "PUT"
    assert "192.0.2.1" not in headers.values()


# log, limits, TLS, variants


def test_the_log_has_one_json_object_a_request_with_the_nodes_request_id(start: Start, backends: list[Backend]) -> None:
    balancer = start()
    ask(balancer, "GET", '/b/"quoted"%0A', Host="s3")
    ask(balancer, "PUT", "/b/k", b"x", Host="s3")
    ask(balancer, "PUT", "/b/k", bytes(MIB), Host="s3")
    nodes = {f"127.0.0.1:{backend.port}" for backend in backends}
    for line in balancer.log(3):
        assert line["request_id"] == "0123456789ABCDEF"
        assert line["node"] in nodes
        assert line["status"] == 200
    assert [line["method"] for line in balancer.log(3)] == ["GET", "PUT", "PUT"]


def test_over_the_limit_a_client_is_told_to_slow_down(start: Start, backends: list[Backend]) -> None:
    balancer = start(request_rate=1, request_burst=2, connections=10, download_rate="10m")
    answers = [ask(balancer, "GET", "/b/k") for _ in range(6)]
    assert [status for status, _ in answers].count(200) >= 3
    refused = [said for status, said in answers if status == 503]
    assert refused
    assert b"<Code>SlowDown</Code>" in refused[0]


def test_tls_speaks_http_2(start: Start, backends: list[Backend], tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*request.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    balancer = start(certificate=str(certificate), certificate_key=str(key))
    body = tmp_path / "body"
    body.write_bytes(bytes(2 * MIB))
    curl = ["curl", "-sS", "--http2", "--cacert", certificate, "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]
    for arguments in (["-T", str(body)], ["-X", "DELETE"], []):
        done = subprocess.run(
            [*curl, *arguments, f"https://localhost:{balancer.port}/b/k"], capture_output=True, text=True
        )
        assert done.stdout == "2 200", done.stderr
    assert [(seen[0], seen[3]) for backend in backends for seen in backend.seen] == [
        ("PUT", 2 * MIB),
        ("DELETE", 0),
        ("GET", 0),
    ]
    assert {seen[2]["host"] for backend in backends for seen in backend.seen} == {f"localhost:{balancer.port}"}


def test_consistent_hashing_goes_by_the_real_client_address(start: Start, backends: list[Backend]) -> None:
    balancer = start(method="address", trusted_proxies=["127.0.0.0/8"])
    clients = [f"198.51.100.{number}" for number in range(1, 21)]
    by_read = [ask(balancer, "GET", "/", X_Forwarded_For=client)[1] for client in clients]
    by_write = [ask(balancer, "PUT", "/b/k", b"x", X_Forwarded_For=client)[1] for client in clients]
    assert set(by_read) == {b"node-1", b"node-2"}
    assert by_read == by_write


def test_ip_hash_goes_by_the_real_client_address_too(start: Start, backends: list[Backend]) -> None:
    balancer = start(trusted_proxies=["127.0.0.1"])
    clients = [f"{number}.51.100.7" for number in range(1, 21)]
    by_read = [ask(balancer, "GET", "/", X_Forwarded_For=client)[1] for client in clients]
    by_write = [ask(balancer, "PUT", "/b/k", b"x", X_Forwarded_For=client)[1] for client in clients]
    assert set(by_read) == {b"node-1", b"node-2"}
    assert by_read == by_write


def test_a_misspelt_variable_is_refused() -> None:
    with pytest.raises(KeyError, match="loadbalancer_prot is not a variable"):
        render(prot=20000)


def test_the_command_writes_a_configuration() -> None:
    done = subprocess.run(
        [TOP / "nginx" / "render", "upstream=[{name: node-1, address: '127.0.0.1:9000'}]", "method=address"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "server 127.0.0.1:9000 max_fails=1 fail_timeout=5s; # node-1" in done.stdout
    assert "hash $remote_addr consistent;" in done.stdout


def test_the_shared_address_is_configured_for_unicast_neighbours() -> None:
    text = render(
        "keepalived.conf.j2",
        virtual_address="10.0.0.100/24",
        virtual_interface="eth0",
        virtual_router_id=51,
        virtual_priority=100,
        own_address="10.0.0.21",
        other_addresses=["10.0.0.22"],
    )
    assert "unicast_src_ip 10.0.0.21\n" in text
    assert "unicast_peer {\n        10.0.0.22\n    }" in text
