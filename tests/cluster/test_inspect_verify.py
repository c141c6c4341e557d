"""`ironbucket verify`: agreement is proven, every difference is named, payloads are mended."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.cluster.inspected import Nodes, address, asked, client, cluster, payload, replicate
from tests.harness.process import NodeProcess

PART = 5 << 20


def filled(nodes: Nodes, count: int = 2) -> list[NodeProcess]:
    """Running nodes that hold the same: 300 small objects, tags, a deletion, an overwritten and a multipart object."""
    made = cluster(nodes, count)
    for one in made:
        one.start()
    s3 = client(made[0])
    s3.create_bucket(Bucket="photos")
    for i in range(300):
        s3.put_object(Bucket="photos", Key=f"k{i:03}", Body=b"x" * i)
    s3.put_object_tagging(Bucket="photos", Key="k000", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object(Bucket="photos", Key="k001")
    s3.create_bucket(Bucket="kept")
    for body in (b"1", b"22"):
        s3.put_object(Bucket="kept", Key="v", Body=body)
    upload = s3.create_multipart_upload(Bucket="kept", Key="big")["UploadId"]
    parts = []
    for number in (1, 2):
        body = bytes([number]) * PART
        answer = s3.upload_part(Bucket="kept", Key="big", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(Bucket="kept", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    replicate(made[0])
    return made


def index(node: NodeProcess, statement: str, *values: object) -> None:
    """Change a node's index behind its back."""
    with closing(sqlite3.connect(node.storage / ".ironbucket" / "index.db")) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def test_nodes_that_agree(nodes: Nodes) -> None:
    one, two, three = filled(nodes, 3)
    client(two).put_object(Bucket="photos", Key="from-2", Body=b"2")
    client(three).delete_object(Bucket="photos", Key="k002")
    replicate(one, two, three)
    for node in (one, two, three):
        answer = asked(node, "verify", "--payloads")
        assert answer["agrees"]
        assert answer["findings"] == []
        assert answer["compared"]["payloads"] == 299 + 2
    assert "nothing is wrong" in one.run("verify", "--bucket", "kept").stdout


def test_every_difference_is_named(nodes: Nodes) -> None:
    one, two = filled(nodes)
    index(two, "UPDATE objects SET etag = 'other' WHERE key = ?", b"k100")
    index(two, "DELETE FROM objects WHERE key = ?", b"k200")
    index(one, "DELETE FROM objects WHERE key = ?", b"k299")
    index(two, "UPDATE objects SET attributes = '{}' WHERE key = ?", b"k000")
    index(two, "UPDATE buckets SET owner = 'other' WHERE name = 'kept'")
    answer = asked(one, "verify", status=1)
    assert {(found["kind"], found["bucket"], found["key"]) for found in answer["findings"]} == {
        ("key", "photos", "k100"),
        ("key", "photos", "k200"),
        ("key", "photos", "k299"),
        ("key", "photos", "k000"),
        ("bucket", "kept", ""),
    }
    words = {found["key"]: found["what"] for found in answer["findings"]}
    assert "there nothing" in words["k200"]
    assert "here nothing" in words["k299"]
    assert "different metadata" in words["k000"]
    only = asked(one, "verify", "--bucket", "photos", status=1)
    assert {found["bucket"] for found in only["findings"]} == {"photos"}


def test_a_peer_that_is_behind_or_away_is_no_agreement_and_repair_ships(nodes: Nodes) -> None:
    one, two = filled(nodes)
    client(one).put_object(Bucket="photos", Key="late", Body=b"x")
    answer = asked(one, "verify", "--wait", "0.5", status=1)
    assert "behind" in {found["kind"] for found in answer["findings"]}
    assert {found["kind"] for found in answer["findings"]} <= {"behind", "undecided"}
    assert "less than there are" in answer["findings"][0]["what"]
    assert asked(one, "verify", "--repair")["agrees"]
    two.stop()
    (found,) = asked(one, "verify", status=1)["findings"]
    assert (found["kind"], found["peer"]) == ("unreachable", address(two))


def test_two_histories_of_one_name(nodes: Nodes) -> None:
    one, two = filled(nodes)
    index(two, "UPDATE streams SET chain = ? WHERE node = 'node-1'", "f" * 32)
    (found,) = asked(one, "verify", status=1)["findings"]
    assert found["kind"] == "diverged"


def _shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _other_bytes(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def test_payloads_are_checked_and_mended(nodes: Nodes) -> None:
    one, two = filled(nodes)
    big = payload(one, "kept", "big")
    parts = sorted(path for path in big.iterdir() if path.name != "manifest.json")
    spoilt: list[tuple[Path, Callable[[Path], Any], str]] = [
        (payload(one, "photos", "k100"), os.unlink, "missing"),
        (payload(one, "photos", "k101"), _shorter, "damaged"),
        (payload(one, "photos", "k102"), _other_bytes, "damaged"),
        (parts[1], _other_bytes, "damaged"),
    ]
    before = {path: path.read_bytes() for path, _, _ in spoilt}
    for path, spoil, _ in spoilt:
        spoil(path)
    quick = asked(one, "verify", status=1)["findings"]
    assert {(found["key"], found["kind"]) for found in quick} == {("k100", "missing"), ("k101", "damaged")}
    full = asked(one, "verify", "--payloads", status=1)["findings"]
    assert sorted((found["key"], found["kind"]) for found in full) == sorted(
        (path.parent.name.split("~")[0] if path == parts[1] else path.name.split("~")[0], kind)
        for path, _, kind in spoilt
    )
    mended = asked(one, "verify", "--payloads", "--repair")
    assert {found["mended"] for found in mended["findings"]} == {f"fetched from {address(two)}"}
    assert {path: path.read_bytes() for path in before} == before
    assert asked(one, "verify", "--payloads")["findings"] == []

    whole = {path.name: path.read_bytes() for path in big.iterdir()}
    for path in big.iterdir():
        path.unlink()
    big.rmdir()
    assert [found["kind"] for found in asked(one, "verify", "--repair")["findings"]] == ["missing"]
    assert {path.name: path.read_bytes() for path in big.iterdir() if path.name in parts} == {
        name: data for name, data in whole.items() if name in parts
    }
    assert asked(one, "verify", "--payloads")["findings"] == []
    assert client(one).get_object(Bucket="kept", Key="big")["Body"].read()[-1] == 2


def test_what_no_peer_has_whole_is_not_mended(nodes: Nodes) -> None:
    one, two = filled(nodes)
    for node in (one, two):
        _other_bytes(payload(node, "photos", "k100"))
    (found,) = asked(one, "verify", "--payloads", "--repair", status=1)["findings"]
    assert "damaged too" in found["what"]
    assert found["mended"] == ""


def test_agreement_is_proven_while_writes_go_on(nodes: Nodes) -> None:
    one, two = filled(nodes)
    stop = threading.Event()

    def write(node: NodeProcess, seed: int) -> None:
        s3, i = client(node), 0
        while not stop.is_set():
            i += 1
            s3.put_object(Bucket="photos", Key=f"k{(i * seed) % 300:03}", Body=b"y" * (i % 50))
            if i % 3 == 0:
                s3.delete_object(Bucket="photos", Key=f"k{(i * seed * 7) % 300:03}")

    def ship(node: NodeProcess) -> None:
        while not stop.is_set():
            node.run("replicate")

    threads = [threading.Thread(target=write, args=(node, seed)) for node, seed in ((one, 7), (two, 11))]
    threads += [threading.Thread(target=ship, args=(node,)) for node in (one, two)]
    for thread in threads:
        thread.start()
    try:
        index(two, "UPDATE objects SET etag = 'other' WHERE key = ?", b"big")
        answer = asked(one, "verify", status=1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [(found["kind"], found["key"]) for found in answer["findings"]] == [("key", "big")]
