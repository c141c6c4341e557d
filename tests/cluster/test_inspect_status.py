"""`ironbucket status` and `replicate --discard` in a cluster."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from tests.cluster.inspected import Nodes, address, asked, client, cluster, payload, replicate


def test_what_waits_is_counted_also_when_no_replicator_has_run(nodes: Nodes) -> None:
    one, two = cluster(nodes)
    one.start()
    s3 = client(one)
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="a", Body=b"x" * 1000)
    status = asked(one, "status", status=1)
    (peer,) = status["peers"]
    assert peer["backlog"]["entries"] == 2
    assert peer["backlog"]["bytes"] > 1000
    assert peer["backlog"]["seconds"] >= 1
    assert peer["problems"] == ["was never reached"]
    text = one.run("status").stdout
    assert "backlog 2 entries" in text

    assert one.run("replicate").returncode == 1
    (peer,) = asked(one, "status", status=1)["peers"]
    assert "refused" in peer["last_error"].lower()
    assert peer["backlog"]["entries"] == 2

    two.start()
    replicate(one)
    status = asked(one, "status")
    (peer,) = status["peers"]
    assert peer["node"] == "node-2"
    assert peer["backlog"]["entries"] == peer["backlog"]["bytes"] == peer["backlog"]["seconds"] == 0
    assert status["healthy"]

    s3.put_object(Bucket="photos", Key="b", Body=b"x")
    (peer,) = asked(one, "status")["peers"]
    assert peer["backlog"]["entries"] == 1

    (one.state / "replicator.state").unlink()
    (peer,) = asked(one, "status", status=1)["peers"]
    assert peer["backlog"]["entries"] == 3, "what is not known to be there counts as missing"


def test_a_refused_payload_holds_up_only_what_comes_after_it_until_it_is_discarded(nodes: Nodes) -> None:
    one, two = cluster(nodes)
    one.start()
    two.start()
    s3 = client(one)
    s3.create_bucket(Bucket="photos")
    for key in ("before", "bad", "after"):
        s3.put_object(Bucket="photos", Key=key, Body=b"good")
    payload(one, "photos", "bad").write_bytes(b"evil")
    assert one.run("replicate").returncode == 1
    (peer,) = asked(one, "status", status=1)["peers"]
    (place,) = peer["refused"]
    assert peer["backlog"]["entries"] == 2
    assert [item["Key"] for item in client(two).list_objects_v2(Bucket="photos")["Contents"]] == ["before"]

    wrong = one.run("replicate", "--discard", place, "--peer", "127.0.0.1:1")
    assert wrong.returncode == 2
    assert "CLUSTER_NODES" in wrong.stderr
    late = place.rpartition("/")[0] + "/4"
    wrong = one.run("replicate", "--discard", late, "--peer", address(two))
    assert wrong.returncode == 1
    assert f"refuses {place}" in wrong.stderr, "only what is named goes without its payload"

    done = one.run("replicate", "--discard", place, "--peer", address(two))
    assert done.returncode == 0, done.stderr
    replicate(one)
    (peer,) = asked(one, "status")["peers"]
    assert [gone["place"] for gone in peer["discarded"]] == [place]
    assert (peer["refused"], peer["backlog"]["entries"]) == ({}, 0)
    keys = [item["Key"] for item in client(two).list_objects_v2(Bucket="photos")["Contents"]]
    assert keys == ["after", "bad", "before"]
    logs = [path.read_bytes() for path in (two.wal_dir / "peers" / "node-1").glob("*.log")]
    assert logs == [one.wal_path.read_bytes()], "the copy of the log is whole"

    again = one.run("replicate", "--discard", place, "--peer", address(two))
    assert "nothing to discard" in again.stderr


def test_a_stamp_of_the_future_waits_and_cannot_be_discarded(nodes: Nodes) -> None:
    one, two = cluster(nodes)
    one.start()
    two.start()
    replicate(one)
    one.stop()
    with closing(sqlite3.connect(one.storage / ".ironbucket" / "index.db")) as index, index:
        index.execute("UPDATE clock SET ms = ?", (time.time_ns() // 1_000_000 + 3_600_000,))
    one.start()
    s3 = client(one)
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="a", Body=b"x")
    assert one.run("replicate").returncode == 1
    (peer,) = asked(one, "status", status=1)["peers"]
    ((place, reason),) = peer["refused"].items()
    assert place.endswith("/1")
    assert "set the clocks right" in reason
    assert peer["backlog"]["entries"] == 2
    done = one.run("replicate", "--discard", place.removesuffix("1") + "2", "--peer", address(two))
    assert done.returncode == 1
    assert "set the clocks right" in done.stderr
    assert "no payload" in one.run("replicate", "--discard", place, "--peer", address(two)).stderr
