"""SIGKILL of servers and replicators at every named point of a delivery, with clients of both nodes at work."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.harness.cluster import Cluster
from tests.harness.process import gone, wait_until
from tests.harness.rivals import Rivals

Clusters = Callable[..., Cluster]

#: of the receiving server, in the order in which a delivery passes them
RECEIVING = [
    "payload-arriving",
    "payload-arrived",
    "batch-payload-staged",
    "batch-staged",
    "log-append",
    "log-appended",
    "log-synced",
    "payload-settled",
    "index-commit",
    "index-committed",
    "batch-taken",
]
#: of the replicator
SHIPPING = ["payload-delivered", "batch-made", "batch-delivered", "state-written"]


@pytest.mark.parametrize("point", RECEIVING)
def test_the_receiver_is_killed(clusters: Clusters, point: str) -> None:
    """A worker dies at the point while the others go on; then the whole node does."""
    cluster = clusters(2, MAX_BATCH_SIZE=10)
    cluster.nodes[0].start()
    cluster.make_bucket("shared")
    receiver = cluster.nodes[1]
    # the first delivery of all is where a log has no copy yet
    receiver.start(FAILPOINT=f"{point}:kill:{1 if point.startswith(('log', 'batch')) else 3}", WORKERS=2)
    first = set(receiver.workers())
    with Rivals(cluster, "shared", large=4) as rivals:
        rivals.until(20, 0)
        cluster.watch()
        wait_until(lambda: any(gone(pid) for pid in first), f"a worker died at {point}", 40)
        time.sleep(0.3)
        receiver.kill()
        receiver.start()
        rivals.until(10, 0)
    cluster.converge()
    rivals.check()


@pytest.mark.parametrize("point", SHIPPING)
def test_the_replicator_is_killed(clusters: Clusters, point: str) -> None:
    cluster = clusters(2, MAX_BATCH_SIZE=10).start()
    cluster.make_bucket("shared", 0)
    cluster.make_bucket("shared", 1)
    with Rivals(cluster, "shared", large=4) as rivals:
        rivals.until(20, 0)
        for _ in range(2):
            done = cluster.replicate(0, FAILPOINT=f"{point}:kill")
            assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
            rivals.until(5)
    cluster.converge()
    rivals.check()


def test_everything_dies_at_any_moment(clusters: Clusters) -> None:
    cluster = clusters(3).start()
    cluster.make_bucket("shared")
    cluster.watch()
    with Rivals(cluster, "shared") as rivals:
        rivals.until(5)
        for turn in range(4):
            rivals.until(10)
            number = turn % 3
            cluster.end_replicators(number, (number + 1) % 3)
            cluster.nodes[number].kill()
            rivals.until(10, (number + 1) % 3, (number + 2) % 3)
            cluster.nodes[number].start()
            cluster.watch(number, (number + 1) % 3)
    cluster.converge()
    rivals.check()
