"""Peers that are down, silent, or lost in the middle of a payload; bytes that change on the way."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable

import pytest

from tests.harness.cluster import Cluster, vector
from tests.harness.links import CUT, OPEN, STALLED
from tests.harness.process import COMMAND, environment, wait_until
from tests.harness.rivals import Rivals

Clusters = Callable[..., Cluster]
MIB = 1 << 20


def put(cluster: Cluster, number: int, key: str, data: bytes, bucket: str = "shared") -> None:
    session = cluster.client(number)
    answer = session.request("PUT", bucket, key, data)
    assert answer.status == 200, str(answer)


def put_in_parts(cluster: Cluster, number: int, key: str, parts: list[bytes]) -> None:
    session = cluster.client(number)
    upload = session.request("POST", "shared", key, query={"uploads": ""}).xml().findtext("UploadId", "")
    listed = ""
    for i, data in enumerate(parts, 1):
        answer = session.request("PUT", "shared", key, data, {"partNumber": str(i), "uploadId": upload})
        listed += f"<Part><PartNumber>{i}</PartNumber><ETag>{answer.headers['etag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    answer = session.request("POST", "shared", key, body, {"uploadId": upload})
    assert answer.status == 200 and not answer.code, str(answer)


def test_a_peer_is_down_for_the_whole_of_a_large_upload(clusters: Clusters) -> None:
    cluster = clusters(2)
    cluster.nodes[0].start()
    cluster.make_bucket("shared")
    cluster.watch(0)
    put(cluster, 0, "whole", random.Random(1).randbytes(24 * MIB))
    put_in_parts(cluster, 0, "parts", [random.Random(i).randbytes(5 * MIB) for i in range(3)])
    put_in_parts(cluster, 0, "x" * 700, [random.Random(i).randbytes(5 * MIB) for i in range(2)])
    put(cluster, 0, "ö" * 300, random.Random(2).randbytes(MIB))
    cluster.nodes[1].start()
    cluster.converge()


@pytest.mark.parametrize("mode", [STALLED, CUT])
def test_a_silent_peer_does_not_delay_the_others(clusters: Clusters, mode: str) -> None:
    """While the replicator still waits for one peer, the other gets what was written before and what is written now."""
    cluster = clusters(3)
    cluster.start(0, 1)
    cluster.nodes[2].start()
    cluster.make_bucket("shared")
    cluster.links[0, 2].set(mode)
    one, two = cluster.nodes[:2]
    with (one.root / "replicator.log").open("ab") as log:
        run = subprocess.Popen([*COMMAND, "replicate"], env=environment(one.settings), stdout=log, stderr=log)
    try:
        wait_until(lambda: vector(two) == vector(one), "the healthy peer has everything", 15)
        if mode == STALLED:
            put(cluster, 0, "meanwhile", b"x")
            wait_until(lambda: vector(two) == vector(one), "the healthy peer has what came later", 15)
            assert run.poll() is None, "the replicator still waits for the silent peer"
    finally:
        cluster.links[0, 2].set(OPEN)
        assert run.wait(60) in (0, 1)
    cluster.converge()


def test_a_payload_is_resumed_where_the_network_broke(clusters: Clusters) -> None:
    cluster = clusters(2).start()
    cluster.make_bucket("shared")
    assert cluster.replicate(0).returncode == 0
    size = 32 * MIB
    put(cluster, 0, "large", random.Random(1).randbytes(size))
    put_in_parts(cluster, 0, "parts", [random.Random(i).randbytes(6 * MIB) for i in range(2)])
    link = cluster.links[0, 1]
    begin = link.carried
    for at in (20 * MIB, 8 * MIB, 3 * MIB, 6 * MIB):
        link.reset_after(at)
        assert cluster.replicate(0).returncode == 1
        wait_until(lambda: link.spent, "the connection broke")
    cluster.converge()
    whole = size + 12 * MIB
    assert link.carried - begin < whole + 6 * MIB, "what had arrived was not sent again"


def test_a_flipped_bit_is_noticed_and_sent_again(clusters: Clusters) -> None:
    cluster = clusters(2).start()
    cluster.make_bucket("shared")
    assert cluster.replicate(0).returncode == 0
    link = cluster.links[0, 1]
    chance = random.Random(5)
    for turn in range(6):
        put(cluster, 0, f"small{turn}", chance.randbytes(100_000))
        if turn % 2:
            put(cluster, 0, f"large{turn}", chance.randbytes(MIB))
        link.flip_at(chance.randrange(20_000, 90_000))
        cluster.replicate(0)
        assert link.spent
    cluster.converge()


def test_a_batch_that_is_refused_says_why_and_does_not_count_as_delivered(clusters: Clusters) -> None:
    cluster = clusters(2).start()
    cluster.make_bucket("shared")
    put(cluster, 0, "key", b"x" * 50_000)
    before = vector(cluster.nodes[1])
    cluster.links[0, 1].flip_at(40_000)
    done = cluster.replicate(0)
    assert done.returncode == 1
    assert "not the one that was signed" in done.stdout
    assert vector(cluster.nodes[1]) == before
    cluster.converge()


def test_a_node_that_is_gone_for_good_is_delivered_by_another(clusters: Clusters) -> None:
    cluster = clusters(3).start()
    cluster.make_bucket("shared")
    cluster.between(0, 2, CUT)
    with Rivals(cluster, "shared") as rivals:
        rivals.until(20, 0)
        assert cluster.replicate(0).returncode == 1  # one of its peers cannot be reached
        cluster.nodes[0].kill()
    gone = cluster.nodes.pop(0)
    cluster.watch(1, 2) if len(cluster.nodes) > 2 else None
    expected = {stream: at for stream, at in vector(cluster.nodes[0]).items() if stream.startswith("node-1/")}
    assert gone.root.exists() and expected
    cluster.converge()
    assert expected.items() <= vector(cluster.nodes[1]).items()
