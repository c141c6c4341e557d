"""Buckets that are created, deleted and filled on several nodes at once."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness.cluster import Cluster
from tests.harness.links import CUT, STALLED
from tests.harness.rivals import Rivals

Clusters = Callable[..., Cluster]


def test_a_bucket_is_deleted_on_one_node_while_objects_arrive_on_another(clusters: Clusters) -> None:
    cluster = clusters(2).start()
    for bucket in ("full", "empty"):
        cluster.make_bucket(bucket)
    for number in (0, 1):
        assert cluster.replicate(number).returncode == 0
    one, two = cluster.client(0), cluster.client(1)
    assert two.request("PUT", "full", "key", b"acknowledged").status == 200
    for bucket in ("full", "empty"):
        assert one.request("DELETE", bucket).status == 204
        assert one.request("HEAD", bucket).status == 404
    cluster.converge()
    for session in (one, two):
        assert session.request("GET", "full", "key").body == b"acknowledged"
        assert session.request("HEAD", "full").status == 200
        assert session.request("HEAD", "empty").status == 404
    # its deletion still holds for the bucket without the object
    assert two.request("DELETE", "full").status == 409
    assert one.request("DELETE", "full", "key").status == 204
    assert one.request("HEAD", "full").status == 404
    cluster.converge()
    assert two.request("HEAD", "full").status == 404


def test_buckets_are_deleted_and_created_again_throughout(clusters: Clusters) -> None:
    cluster = clusters(3).start()
    names = ("first", "second")
    for name in names:
        for number in range(3):
            cluster.make_bucket(name, number)
    cluster.watch()
    sessions = [cluster.client(i) for i in range(3)]
    with Rivals(cluster, *names, keys=2) as rivals:
        for turn in range(30):
            name, session = names[turn % 2], sessions[turn % 3]
            session.request("DELETE", name, "k0")
            session.request("DELETE", name, "k1")
            assert session.request("DELETE", name).status in (204, 404, 409)
            if turn % 4 == 0:
                assert sessions[(turn + 1) % 3].request("PUT", name).status == 200
        rivals.until(3)
    cluster.converge()
    rivals.check()


def test_the_newest_tags_of_an_object_win_everywhere(clusters: Clusters) -> None:
    cluster = clusters(2).start()
    cluster.make_bucket("shared", 0)
    cluster.make_bucket("shared", 1)
    one, two = cluster.client(0), cluster.client(1)

    def tag(value: str) -> bytes:
        return f"<Tagging><TagSet><Tag><Key>k</Key><Value>{value}</Value></Tag></TagSet></Tagging>".encode()

    assert one.request("PUT", "shared", "key", b"data").status == 200
    assert cluster.replicate(0).returncode == 0
    for turn in range(3):
        for client, name in ((one, "one"), (two, "two")):
            answer = client.request("PUT", "shared", "key", tag(f"{name} {turn}"), {"tagging": ""})
            assert answer.status == 200, str(answer)
    cluster.converge()
    for client in (one, two):
        assert b"two 2" in client.request("GET", "shared", "key", query={"tagging": ""}).body


def test_a_bucket_that_only_a_peer_knows_takes_writes(clusters: Clusters) -> None:
    cluster = clusters(3).start()
    cluster.make_bucket("new", 0)
    one, two = cluster.client(0), cluster.client(1)
    cluster.links[1, 2].set(STALLED)  # the other peer does not answer
    assert two.request("PUT", "new", "key", b"data").status == 200
    assert two.request("GET", "new", "key").body == b"data"
    assert two.request("DELETE", "new", "key").status == 204
    assert two.request("PUT", "nowhere", "key", b"data").status == 404
    for session in (one, two):
        assert session.request("DELETE", "new").status == 204
    assert two.request("PUT", "new", "key", b"data").status == 404
    cluster.make_bucket("later", 0)
    cluster.links[1, 0].set(CUT)
    assert two.request("PUT", "later", "key", b"data").status == 404, "nobody who can be asked knows of it"
    cluster.heal()
    cluster.converge()


def test_a_deleted_bucket_is_not_brought_back_by_a_peer_that_has_not_heard_of_it(clusters: Clusters) -> None:
    cluster = clusters(2).start()
    cluster.make_bucket("gone", 0)
    assert cluster.replicate(0).returncode == 0
    one, two = cluster.client(0), cluster.client(1)
    assert two.request("DELETE", "gone").status == 204
    assert one.request("HEAD", "gone").status == 200
    assert two.request("PUT", "gone", "key", b"data").status == 404
    cluster.converge()
    assert one.request("HEAD", "gone").status == 404
