"""Fixtures of the fault tests: clients for a node, and the check that ends each of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness import load, storage
from tests.harness.ledger import Ledger
from tests.harness.process import ACCESS_KEY, SECRET_KEY, NodeProcess
from tests.harness.raw import RawClient

BUCKET = "ledger"


def client_of(node: NodeProcess) -> RawClient:
    return RawClient(node.endpoint, ACCESS_KEY, SECRET_KEY)


def make_bucket(node: NodeProcess, name: str = BUCKET) -> RawClient:
    """A bucket on a running node, and the client that made it."""
    client = client_of(node)
    answer = client.request("PUT", name)
    assert answer.status == 200, str(answer)
    return client


def verify_log(node: NodeProcess) -> None:
    """`ironbucket wal verify` finds nothing wrong."""
    done = node.run("wal", "verify")
    assert done.returncode == 0, f"wal verify: status {done.returncode}\n{done.stdout}{done.stderr}"


Consistent = Callable[[NodeProcess, Ledger], None]


@pytest.fixture
def consistent() -> Consistent:
    """`consistent(node, ledger)`: a running node holds what clients were told, its log verifies, no strays."""

    def check(node: NodeProcess, ledger: Ledger) -> None:
        load.check(client_of(node), BUCKET, ledger)
        assert storage.strays(node) == []
        assert [fault for path in storage.log_files(node) for fault in storage.chain_faults(path)] == []
        verify_log(node)

    return check
