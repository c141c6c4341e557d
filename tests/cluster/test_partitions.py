"""Partitions of every shape, with clients of every node at work on the same keys throughout, then healing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.cluster import Cluster
from tests.harness.links import CUT, DEAF, STALLED
from tests.harness.rivals import Rivals

Clusters = Callable[..., Cluster]

#: name -> links (i, j) that fail, of three nodes
SHAPES: dict[str, list[tuple[int, int]]] = {
    "one alone": [(0, 1), (1, 0), (0, 2), (2, 0)],
    "all alone": [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)],
    "a chain": [(0, 2), (2, 0)],
    "one cannot ask": [(0, 1), (0, 2)],
    "one cannot be asked": [(1, 0), (2, 0)],
    "a ring": [(1, 0), (2, 1), (0, 2)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_partitions_heal(clusters: Clusters, shape: str) -> None:
    cluster = clusters(3).start()
    cluster.make_bucket("shared")
    cluster.watch()
    mode = {"one alone": STALLED, "a chain": STALLED, "one cannot ask": DEAF}.get(shape, CUT)
    with Rivals(cluster, "shared") as rivals:
        rivals.until(5)
        for i, j in SHAPES[shape]:
            cluster.links[i, j].set(mode)
        rivals.until(25, 0)
        cluster.heal()
        rivals.until(10)
    cluster.converge()
    rivals.check()
