"""REPLICATION_ACK: what a client is told while peers are away, and what the write is then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tests.harness.cluster import Cluster, stopped
from tests.harness.links import CUT
from tests.harness.rivals import Rivals

Clusters = Callable[..., Cluster]


@pytest.mark.parametrize(("level", "others"), [("one", 1), ("quorum", 1), ("all", 2)])
def test_an_acknowledged_write_is_on_so_many_nodes(clusters: Clusters, level: str, others: int) -> None:
    """The node that took it is lost at once; no replicator has run."""
    cluster = clusters(3, REPLICATION_ACK=level, WORKERS=2).start()
    cluster.make_bucket("shared")
    with Rivals(cluster, "shared", large=1, keys=1000) as rivals:
        rivals.until(10, 0)
        cluster.nodes[0].kill()
    written = {(bucket, key): digest for bucket, key, digest in rivals.clients[0].acknowledged}
    lost = cluster.nodes.pop(0)
    assert not lost.running()
    holders = dict.fromkeys(written, 0)
    for number in (0, 1):
        served = cluster.served(number)
        for place, digest in written.items():
            holders[place] += served.get(place, "") == digest
    assert min(holders.values()) >= others, holders


@pytest.mark.parametrize("workers", [1, 2])
def test_a_peer_that_stands_still_costs_a_503_and_the_write_is_kept(clusters: Clusters, workers: int) -> None:
    cluster = clusters(2, REPLICATION_ACK="all", REPLICATION_TIMEOUT=1.5, WORKERS=workers).start()
    cluster.make_bucket("shared")
    client = cluster.client(0)
    assert client.request("PUT", "shared", "before", b"before").status == 200
    with contextlib.ExitStack() as stack:
        for pid in cluster.nodes[1].all_pids():
            stack.enter_context(stopped(pid))
        answer = client.request("PUT", "shared", "key", b"kept")
        assert (answer.status, answer.code) == (503, "ServiceUnavailable"), str(answer)
        assert client.request("GET", "shared", "key").body == b"kept"
        assert client.request("DELETE", "shared", "before").status == 503
        assert client.request("GET", "shared", "before").status == 404
    assert client.request("PUT", "shared", "after", b"after").status == 200
    cluster.converge()


def test_quorum_goes_on_without_one_of_three(clusters: Clusters) -> None:
    cluster = clusters(3, REPLICATION_ACK="quorum", REPLICATION_TIMEOUT=2).start()
    cluster.make_bucket("shared")
    client = cluster.client(0)
    cluster.links[0, 2].set(CUT)
    assert client.request("PUT", "shared", "key", b"data").status == 200
    assert cluster.client(1).request("GET", "shared", "key").body == b"data"
    cluster.links[0, 1].set(CUT)
    assert client.request("PUT", "shared", "key", b"more").status == 503
    cluster.heal()
    cluster.converge()
