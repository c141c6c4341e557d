"""Loss of power: a file system that forgets what was not synced, on XFS and on ext4."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import BUCKET, Consistent, client_of, make_bucket, verify_log
from tests.harness.disks import Disk
from tests.harness.ledger import Ledger
from tests.harness.load import Load, check
from tests.harness.process import NodeProcess

pytestmark = pytest.mark.root

MIB = 1 << 20


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_everything_on_one_disk(
    disks: Callable[..., Disk], nodes: Callable[..., NodeProcess], consistent: Consistent, kind: str
) -> None:
    disk = disks(kind, 600 * MIB)
    node, ledger = nodes(storage=disk.path / "s3", wal=disk.path / "wal", state=disk.path / "state"), Ledger()
    node.start()
    client = make_bucket(node)
    chance = random.Random(kind)
    for _ in range(4):
        with Load(client, BUCKET, ledger, sizes=(0, 100, 4096, 65536, 300_000)) as load:
            load.until_acknowledged(80)
            time.sleep(chance.random() / 5)
            load.cut_power(disk, node)
        disk.return_power()
        node.start()
        consistent(node, ledger)
    node.stop()


@pytest.mark.parametrize("lost", ["payloads", "log"])
def test_one_of_two_disks(disks: Callable[..., Disk], nodes: Callable[..., NodeProcess], lost: str) -> None:
    """Log and payloads on disks of their own, of which one forgets and the other does not."""
    payloads, log = disks("ext4", 400 * MIB), disks("ext4", 100 * MIB)
    node, ledger = nodes(storage=payloads.path / "s3", wal=log.path / "wal"), Ledger()
    node.start()
    client = make_bucket(node)
    victim = payloads if lost == "payloads" else log
    for _ in range(3):
        with Load(client, BUCKET, ledger, sizes=(100, 4096, 65536)) as load:
            load.until_acknowledged(80)
            load.cut_power(victim, node)
        victim.return_power()
        node.start()
        # a payload may be left over here: the log's file system can have reported a sync that its cut undid,
        # which the other disk, still running, has acted upon
        check(client_of(node), BUCKET, ledger)
        verify_log(node)
    node.stop()


def test_without_a_log(disks: Callable[..., Disk], nodes: Callable[..., NodeProcess]) -> None:
    """WAL_ENABLED=false still never loses an acknowledged write."""
    disk = disks("ext4", 400 * MIB)
    node, ledger = nodes(storage=disk.path / "s3", wal=disk.path / "wal", WAL_ENABLED="false"), Ledger()
    node.start()
    client = make_bucket(node)
    for _ in range(3):
        with Load(client, BUCKET, ledger, sizes=(100, 4096, 65536)) as load:
            load.until_acknowledged(60)
            load.cut_power(disk, node)
        disk.return_power()
        node.start()
        check(client_of(node), BUCKET, ledger)
    node.stop()


def test_a_delayed_flush_loses_no_more_than_its_interval_and_nothing_else(
    disks: Callable[..., Disk], nodes: Callable[..., NodeProcess]
) -> None:
    """WAL_FLUSH_INTERVAL=1: what was acknowledged two seconds before is there, the log verifies."""
    disk = disks("ext4", 400 * MIB)
    node = nodes(storage=disk.path / "s3", wal=disk.path / "wal", WAL_FLUSH_INTERVAL=1)
    node.start()
    client = make_bucket(node)
    for i in range(50):
        assert client.request("PUT", BUCKET, f"early{i}", body=b"x" * i).status == 200
    time.sleep(2.5)
    for i in range(50):
        assert client.request("PUT", BUCKET, f"late{i}", body=b"y" * i).status == 200
    disk.cut_power()
    node.kill()
    disk.return_power()
    node.start()
    client = client_of(node)
    for i in range(50):
        assert client.request("GET", BUCKET, f"early{i}").body == b"x" * i
        late = client.request("GET", BUCKET, f"late{i}")
        assert late.status == 404 or late.body == b"y" * i
    verify_log(node)
    node.stop()
