"""Clocks that are ten minutes apart, and a clock that jumps back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.harness import records
from tests.harness.cluster import Cluster
from tests.harness.links import CUT
from tests.harness.rivals import Rivals

Clusters = Callable[..., Cluster]
MINUTES = 60_000


class Clocks:
    """The clock of each node of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._files = []
        for node in cluster.nodes:
            node.root.mkdir(parents=True, exist_ok=True)
            self._files.append(node.root / "offset")
            node.settings["CLOCK_OFFSET_FILE"] = self._files[-1]
            self.set(len(self._files) - 1, 0)

    def set(self, number: int, offset: int) -> None:
        """Milliseconds to the real time."""
        temporary = Path(f"{self._files[number]}.new")
        temporary.write_text(str(offset))
        temporary.rename(self._files[number])


def test_clocks_ten_minutes_apart(clusters: Clusters) -> None:
    cluster = clusters(3)
    clocks = Clocks(cluster)
    clocks.set(0, 10 * MINUTES)
    clocks.set(2, -4 * MINUTES)
    cluster.start()
    cluster.make_bucket("shared")
    cluster.watch()
    with Rivals(cluster, "shared") as rivals:
        rivals.until(30)
    cluster.converge()
    rivals.check()


def test_a_write_that_has_seen_another_is_later_also_when_the_clock_is_behind(clusters: Clusters) -> None:
    cluster = clusters(2)
    clocks = Clocks(cluster)
    clocks.set(0, 10 * MINUTES)
    cluster.start()
    cluster.make_bucket("shared")
    first, second = cluster.client(0), cluster.client(1)
    for turn in range(3):
        data = b"first %d" % turn
        assert first.request("PUT", "shared", "key", data).status == 200
        assert cluster.replicate(0).returncode == 0
        assert second.request("GET", "shared", "key").body == data
        assert second.request("DELETE", "shared", "key").status == 204
        assert cluster.replicate(1).returncode == 0
        assert first.request("GET", "shared", "key").status == 404
    cluster.converge()


def test_a_clock_jumps_back(clusters: Clusters) -> None:
    cluster = clusters(2)
    clocks = Clocks(cluster)
    cluster.start()
    cluster.make_bucket("shared")
    cluster.watch()
    with Rivals(cluster, "shared") as rivals:
        rivals.until(10)
        clocks.set(0, -60 * MINUTES)
        rivals.until(20)
        cluster.nodes[0].kill()
        cluster.nodes[0].start()
        rivals.until(10)
        clocks.set(0, 5 * MINUTES)
        rivals.until(10)
        clocks.set(0, 0)
        rivals.until(10)
    cluster.converge()
    rivals.check()
    stamps: dict[str, list[tuple[int, int]]] = {}
    for entry in records.entries(records.logs(cluster.nodes[0])):
        stamps.setdefault(entry.node, []).append(entry.stamp[:2])
    for node, found in stamps.items():
        assert found == sorted(set(found)), f"the stamps of {node} do not increase"


def test_a_node_whose_clock_was_ahead_is_delivered_by_another(clusters: Clusters) -> None:
    """How soon another node delivers a log does not depend on the clock of the log's origin."""
    cluster = clusters(3)
    Clocks(cluster).set(0, 10 * MINUTES)
    cluster.start()
    cluster.make_bucket("shared")
    cluster.between(0, 2, CUT)
    session = cluster.client(0)
    assert session.request("PUT", "shared", "key", b"data").status == 200
    assert cluster.replicate(0).returncode == 1
    cluster.nodes.pop(0).kill()
    cluster.converge(20)
    with_data = cluster.client(1)
    assert with_data.request("GET", "shared", "key").body == b"data"


def test_an_upload_to_a_bucket_that_a_node_with_a_clock_ahead_has_created(clusters: Clusters) -> None:
    cluster = clusters(2)
    Clocks(cluster).set(0, 10 * MINUTES)
    cluster.start()
    ahead, behind = cluster.client(0), cluster.client(1)
    for _ in range(2):
        cluster.make_bucket("shared", 0)
        assert cluster.replicate(0).returncode == 0
        answer = behind.request("POST", "shared", "key", query={"uploads": ""})
        upload = answer.xml().findtext("UploadId", "")
        part = {"partNumber": "1", "uploadId": upload}
        assert behind.request("PUT", "shared", "key", b"data", part).status == 200
        assert b"key" in behind.request("GET", "shared", query={"uploads": ""}).body
        assert ahead.request("DELETE", "shared").status == 204
        assert cluster.replicate(0).returncode == 0
        assert behind.request("PUT", "shared", "key", b"data", part).status == 404
    cluster.converge()
