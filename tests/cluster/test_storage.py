"""Storage that fails under a receiver: a full disk, and logs that are older than what was written."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.cluster.test_network import put
from tests.harness.cluster import Cluster, vector
from tests.harness.disks import Disk
from tests.harness.rivals import Rivals

Clusters = Callable[..., Cluster]
MIB = 1 << 20


@pytest.mark.root
@pytest.mark.parametrize("size", [10_000, 3 * MIB])
def test_the_receivers_disk_is_full(disks: Callable[..., Disk], clusters: Clusters, size: int) -> None:
    disk = disks("ext4", 64 * MIB)
    cluster = clusters(2)
    two = cluster.nodes[1]
    two.storage, two.settings["STORAGE_PATH"] = disk.path / "s3", disk.path / "s3"
    cluster.start()
    cluster.make_bucket("shared")
    put(cluster, 0, "before", b"before")
    assert cluster.replicate(0).returncode == 0
    disk.fill()
    for i in range(5):
        put(cluster, 0, f"key{i}", bytes([i]) * size)
    done = cluster.replicate(0)
    assert done.returncode == 1
    assert "StorageFull" in done.stdout
    session = cluster.client(1)
    assert session.request("GET", "shared", "before").body == b"before"
    assert session.request("DELETE", "shared", "before").status in (204, 503, 507)
    disk.drain()
    cluster.converge()
    cluster.close()  # before the disk is unmounted


@pytest.mark.parametrize("what", ["the log", "everything"])
def test_a_node_is_put_back_from_an_old_backup(clusters: Clusters, what: str) -> None:
    """Its writes since then that had reached a peer come back; those that it makes now are not taken for them."""
    cluster = clusters(2).start()
    cluster.make_bucket("shared", 0)
    cluster.make_bucket("shared", 1)
    two = cluster.nodes[1]
    with Rivals(cluster, "shared") as rivals:
        rivals.until(15)
    cluster.converge()
    two.stop()
    saved = two.root.with_name("backup")
    shutil.copytree(two.root, saved)
    two.start()
    with Rivals(cluster, "shared", seed=2) as later:
        later.until(15)
    cluster.converge()
    old = vector(cluster.nodes[0])
    two.kill()
    for directory in (two.wal_dir,) if what == "the log" else (two.wal_dir, two.storage, two.state):
        shutil.rmtree(directory)
        shutil.copytree(saved / directory.name, directory)
    two.start()
    # before it has met a peer
    put(cluster, 1, "after", b"written after the restore")
    cluster.converge()
    rivals.check()
    later.check()
    now = vector(cluster.nodes[0])
    assert old.items() <= now.items(), "nothing that was written before has been written over"
    assert len({stream for stream in now if stream.startswith("node-2/")}) == 2, "it goes on in a new epoch"


def test_a_log_is_rotated_while_a_peer_is_behind(clusters: Clusters) -> None:
    cluster = clusters(2, WAL_SEGMENT_SIZE=4096)
    cluster.start()
    cluster.make_bucket("shared", 0)
    cluster.make_bucket("shared", 1)
    with Rivals(cluster, "shared") as rivals:
        rivals.until(10)
        cluster.nodes[1].kill()
        rivals.until(60, 0)
        assert cluster.replicate(0).returncode == 1
        cluster.nodes[1].start()
        rivals.until(20)
    cluster.converge()
    rivals.check()
    closed = [path.name for path in cluster.nodes[0].wal_dir.glob("wal-*.log*")]
    assert len(closed) > 2, closed
