"""Fixtures of the cluster tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness.cluster import Cluster
from tests.harness.process import NodeProcess


@pytest.fixture
def clusters(nodes: Callable[..., NodeProcess]) -> Iterator[Callable[..., Cluster]]:
    """`clusters(3, **settings)` makes a cluster of nodes that are not started; all of it ends with the test."""
    made: list[Cluster] = []

    def make(count: int = 2, **settings: Any) -> Cluster:
        made.append(Cluster(nodes, count, **settings))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
