"""SIGKILL at every named point of the write path, and at random, under concurrent load."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import BUCKET, Consistent, client_of, make_bucket
from tests.harness import storage
from tests.harness.ledger import Ledger
from tests.harness.load import Load, check
from tests.harness.process import NodeProcess, NotReady, gone, wait_until

#: in the order in which a write passes them
POINTS = [
    "payload-written",
    "payload-synced",
    "log-append",
    "log-appended",
    "log-synced",
    "payload-settled",
    "index-commit",
    "index-committed",
    "answered",
]

Nodes = Callable[..., NodeProcess]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(nodes: Nodes, consistent: Consistent, point: str) -> None:
    """Every worker dies at the point, is replaced, and dies there again, while eight clients write."""
    node, ledger = nodes(), Ledger()
    node.start()
    client = make_bucket(node)
    node.stop()
    for turn in range(2):
        node.start(FAILPOINT=f"{point}:kill:{5 + 20 * turn}")
        first = set(node.workers())
        with Load(client, BUCKET, ledger) as load:
            wait_until(
                lambda first=first: not node.running() or any(gone(pid) for pid in first),
                f"a worker died at {point}",
                timeout=60,
            )
            time.sleep(0.3)  # let the others go on, with the dead one's lines in the log
            load.stop()
        node.kill()
        node.start()
        consistent(node, ledger)
        node.kill()
    assert ledger.unanswered > 0
    assert ledger.acknowledged > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_the_whole_machine_dies_at_any_moment(nodes: Nodes, consistent: Consistent, workers: int) -> None:
    node, ledger = nodes(WORKERS=workers), Ledger()
    node.start()
    client = make_bucket(node)
    chance = random.Random(workers)
    for turn in range(5):
        with Load(client, BUCKET, ledger) as load:
            load.until_acknowledged(30)
            time.sleep(chance.random() / 5)
            node.kill()
            load.stop()
        node.start()
        if turn % 2:
            consistent(node, ledger)
    consistent(node, ledger)
    assert ledger.acknowledged > 150


def test_one_worker_dies_and_is_replaced(nodes: Nodes, consistent: Consistent) -> None:
    node, ledger = nodes(), Ledger()
    node.start()
    client = make_bucket(node)
    with Load(client, BUCKET, ledger) as load:
        for _ in range(4):
            load.until_acknowledged(20)
            victim = node.workers()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: gone(victim), "the worker is gone")
            load.until_acknowledged(20, alive=node.running)
            assert node.running(), node.log_tail()
            wait_until(lambda: len(node.workers()) == 2, "a new worker took its place")
    check(client, BUCKET, ledger)
    node.stop()
    node.start()
    consistent(node, ledger)


def test_the_main_process_dies_and_takes_its_workers_along(nodes: Nodes, consistent: Consistent) -> None:
    """Else they would serve on while the next start repairs the log under them."""
    node, ledger = nodes(), Ledger()
    node.start()
    client = make_bucket(node)
    with Load(client, BUCKET, ledger) as load:
        load.until_acknowledged(30)
        workers = node.workers()
        os.kill(node.pid, signal.SIGKILL)
        for pid in workers:
            wait_until(lambda pid=pid: gone(pid), f"worker {pid} ended after its parent", timeout=10)
        load.stop()
    node.start()
    consistent(node, ledger)


@pytest.mark.parametrize("point", ["index-commit", "index-committed", "payload-settled"])
def test_killed_while_it_recovers(nodes: Nodes, consistent: Consistent, point: str) -> None:
    node, ledger = nodes(WORKERS=1), Ledger()
    node.start()
    client = make_bucket(node)
    node.stop()
    node.start(FAILPOINT="log-synced:kill:15")
    with Load(client, BUCKET, ledger) as load:
        wait_until(lambda: not node.running() or ledger.unanswered > 8, "killed with lines not applied", timeout=60)
        load.stop()
    node.kill()
    try:
        node.start(FAILPOINT=f"{point}:kill")
        node.kill()
    except NotReady:  # it died where it was told to, before it was ready
        node.kill()
    node.start()
    consistent(node, ledger)


def test_nothing_is_kept_of_overwritten_and_deleted_objects(nodes: Nodes) -> None:
    """With no history window every payload on disk belongs to an object, also after crashes."""
    node, ledger = nodes(HISTORY_WINDOW=0), Ledger()
    node.start()
    client = make_bucket(node)
    for _ in range(3):
        with Load(client, BUCKET, ledger, sizes=(10, 5000)) as load:
            load.until_acknowledged(60)
            node.kill()
            load.stop()
        node.start()

    def live() -> set[str]:
        page = client_of(node).request("GET", BUCKET, query={"list-type": "2", "max-keys": "1000"})
        assert page.xml().findtext("IsTruncated") == "false"
        return {element.findtext("Key", "") for element in page.xml().findall("Contents")}

    keys = live()
    wait_until(
        lambda: len(storage.payloads(node)) == len(keys), "only live payloads are left", timeout=30, interval=0.5
    )
    assert storage.strays(node) == []


def test_sigterm_lets_requests_in_flight_finish(nodes: Nodes, consistent: Consistent) -> None:
    node, ledger = nodes(), Ledger()
    node.start()
    client = make_bucket(node)
    headers = client.signer.header("PUT", client.host, f"/{BUCKET}/slow", digest="UNSIGNED-PAYLOAD")
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    with Load(client, BUCKET, ledger) as load, client.connect() as connection:
        load.until_acknowledged(30)
        connection.sendall(f"PUT /{BUCKET}/slow HTTP/1.1\r\n{lines}Content-Length: 10\r\n\r\n12345".encode())
        time.sleep(0.2)
        os.kill(node.pid, signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(b"67890")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        load.stop()
    assert node.process is not None
    assert node.process.wait(30) == 0
    node.start()
    ledger.stored("slow", b"1234567890")
    consistent(node, ledger)


def test_a_second_server_on_the_same_directory_is_refused(nodes: Nodes) -> None:
    node = nodes()
    node.start()
    done = node.run("serve", PORT=node.port + 1, timeout=20)
    assert done.returncode == 75, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert node.healthy()
