"""Full disks and exhausted descriptors: an error that says so, reads go on, writes return without a restart."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import BUCKET, Consistent, client_of, make_bucket
from tests.harness import storage
from tests.harness.disks import Disk
from tests.harness.ledger import Ledger, digest
from tests.harness.load import Load, check
from tests.harness.process import NodeProcess, wait_until
from tests.harness.raw import RawClient

MIB = 1 << 20
Nodes = Callable[..., NodeProcess]


def write_until_refused(client: RawClient, ledger: Ledger, size: int, most: int = 3000) -> str:
    """Put objects until one is refused; the S3 code of the refusal."""
    for i in range(most):
        data = bytes([i % 256]) * size
        key = f"fill/{i}"
        ledger.sent(key, digest(data))
        answer = client.request("PUT", BUCKET, key, body=data)
        if answer.status == 200:
            ledger.answered(key, digest(data))
            continue
        assert 500 <= answer.status < 600, str(answer)
        ledger.denied(key, answer.code)
        return answer.code
    raise AssertionError("the disk does not become full")


@pytest.mark.root
@pytest.mark.parametrize("what", ["payloads", "log", "index"])
def test_full(disks: Callable[..., Disk], nodes: Nodes, consistent: Consistent, what: str) -> None:
    disk = disks("ext4", 64 * MIB)
    node = nodes()
    if what == "payloads":
        node.storage = disk.path / "s3"
        node.settings["STORAGE_PATH"] = node.storage
    elif what == "log":
        node.wal_dir = disk.path / "wal"
        node.settings["WAL_PATH"] = node.wal_path
    else:
        node.storage.mkdir(parents=True)
        (node.storage / ".ironbucket").symlink_to(disk.path)
    ledger = Ledger()
    node.start()
    client = make_bucket(node)
    for i in range(5):
        data = b"before" * (i + 1)
        assert client.request("PUT", BUCKET, f"before{i}", body=data).status == 200
        ledger.stored(f"before{i}", data)
    for _ in range(2):
        disk.fill()
        size = 100_000 if what == "payloads" else 10
        assert write_until_refused(client, ledger, size) == "StorageFull"
        # reads go on, listings too, in every worker
        for _ in range(10):
            assert client.request("GET", BUCKET, "before4").body == b"before" * 5
            assert client.request("GET", BUCKET, query={"list-type": "2"}).status == 200
        with Load(client, BUCKET, ledger, sizes=(10, 70_000)) as load:
            wait_until(lambda: sum(ledger.refused.values()) > 20 or ledger.acknowledged > 2000, "many are refused")
            load.stop()
        disk.drain()
        assert client.request("PUT", BUCKET, "after", body=b"after").status == 200
        ledger.stored("after", b"after")
        with Load(client, BUCKET, ledger, sizes=(10, 70_000)) as load:
            load.until_acknowledged(50)
    assert node.running(), node.log_tail()
    assert set(ledger.refused) <= {"StorageFull", "NoSuchKey", "NoSuchUpload", "404"}, ledger.refused
    consistent(node, ledger)
    node.kill()
    node.start()
    consistent(node, ledger)
    node.stop()


@pytest.mark.parametrize("action", ["enospc", "eio", "emfile"])
@pytest.mark.parametrize("point", ["payload-written", "log-append", "log-appended", "log-synced", "index-commit"])
def test_a_failing_step_is_taken_back(
    nodes: Nodes, consistent: Consistent, tmp_path: Path, point: str, action: str
) -> None:
    """The same without root: the step itself fails, for a while."""
    switch = tmp_path / "failpoint"
    node, ledger = nodes(FAILPOINT_FILE=switch), Ledger()
    node.start()
    client = make_bucket(node)
    assert client.request("PUT", BUCKET, "before", body=b"before").status == 200
    ledger.stored("before", b"before")
    with Load(client, BUCKET, ledger, sizes=(0, 10, 70_000)) as load:
        load.until_acknowledged(20)
        switch.write_text(f"{point}:{action}")
        wait_until(lambda: sum(ledger.refused.values()) + ledger.unanswered > 20, "requests are refused")
        assert client.request("GET", BUCKET, "before").body == b"before"
        switch.unlink()
        load.until_acknowledged(50)
    expected = {"enospc": "StorageFull", "eio": "InternalError", "emfile": "ServiceUnavailable"}[action]
    assert set(ledger.refused) <= {expected, "NoSuchUpload"}, ledger.refused
    consistent(node, ledger)
    node.kill()
    node.start()
    consistent(node, ledger)


@contextlib.contextmanager
def idle_connections(client: RawClient, count: int) -> Iterator[list[socket.socket]]:
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            made.append(client.connect(timeout=5))
        yield made
    finally:
        for connection in made:
            connection.close()


def test_out_of_descriptors(nodes: Nodes, consistent: Consistent) -> None:
    """Connections take all that the process may open; when they go, all is as before, without a restart."""
    node, ledger = nodes(prefix=("prlimit", "--nofile=96:96"), WORKERS=1), Ledger()
    node.start()
    client = make_bucket(node)
    with Load(client, BUCKET, ledger, writers=4) as load:
        load.until_acknowledged(30)
        with idle_connections(client, 150):
            with contextlib.suppress(AssertionError):
                load.until_acknowledged(10, timeout=3)
            assert node.running(), node.log_tail()
            pids = node.workers() or [node.pid]
            assert storage.open_descriptors(pids[0]) <= 96
        load.until_acknowledged(50, timeout=90)
    assert node.running(), node.log_tail()
    assert set(ledger.refused) <= {"ServiceUnavailable", "SlowDown", "NoSuchUpload"}, ledger.refused
    consistent(node, ledger)
    check(client_of(node), BUCKET, ledger)
