"""Files that are not what was written: found, named, repaired by the documented command, never served as good."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import BUCKET, client_of, make_bucket, verify_log
from tests.harness import storage
from tests.harness.process import NodeProcess, NotReady
from tests.harness.raw import RawClient

Nodes = Callable[..., NodeProcess]
OBJECTS = {f"k{i:02}": os.urandom(100 + i) for i in range(40)}


@pytest.fixture
def stored(nodes: Nodes) -> NodeProcess:
    """A node that holds OBJECTS and has been killed."""
    node = nodes()
    node.start()
    client = make_bucket(node)
    for key, data in OBJECTS.items():
        assert client.request("PUT", BUCKET, key, body=data).status == 200
    node.kill()
    return node


def assert_all_there(client: RawClient, missing: tuple[str, ...] = ()) -> None:
    for key, data in OBJECTS.items():
        answer = client.request("GET", BUCKET, key)
        if key in missing:
            assert answer.status == 404, key
        else:
            assert (answer.status, answer.body) == (200, data), key


def remove_index(node: NodeProcess) -> None:
    for path in (node.storage / ".ironbucket").iterdir():
        if path.name.startswith("index"):
            path.unlink()


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x04]))


@pytest.mark.parametrize(
    "torn", [b"P", b"PUT\tnode-1\t41\t17", b"\x00" * 100, b"PUT\tnode-1\t42\t1\tledger\tk\t1\td\t{}\tabc"]
)
def test_a_torn_last_line_is_set_aside(stored: NodeProcess, torn: bytes) -> None:
    whole = stored.wal_path.read_bytes()
    with stored.wal_path.open("ab") as file:
        file.write(torn)
    stored.start()
    assert_all_there(client_of(stored))
    assert stored.wal_path.read_bytes()[: len(whole)] == whole
    aside = [p for p in stored.wal_dir.rglob("*") if p.is_file() and p != stored.wal_path and torn in p.read_bytes()]
    assert aside, f"{torn!r} was not kept: {list(stored.wal_dir.iterdir())}"
    assert client_of(stored).request("PUT", BUCKET, "next", body=b"x").status == 200
    verify_log(stored)


@pytest.mark.parametrize("cut", [1, 10, 50])
def test_a_cut_last_line_is_refused_and_repaired(stored: NodeProcess, cut: int) -> None:
    """A log that lost its end although it was synced: the disk lied. The node says where and what mends it."""
    last = list(storage.lines(stored.wal_path))[-1]
    assert "k39" in last.fields
    os.truncate(stored.wal_path, last.offset + last.length - cut)
    with pytest.raises(NotReady) as refused:
        stored.start()
    assert f"byte {last.offset}" in str(refused.value)
    assert "wal repair" in str(refused.value)
    assert "Traceback" not in str(refused.value)
    done = stored.run("wal", "repair")
    assert done.returncode == 0, done.stdout + done.stderr
    stored.start()
    client = client_of(stored)
    assert_all_there(client, missing=("k39",) if client.request("HEAD", BUCKET, "k39").status == 404 else ())
    assert client.request("PUT", BUCKET, "k39", body=b"again").status == 200
    verify_log(stored)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_flipped_byte_is_found_with_its_offset(stored: NodeProcess, where: float) -> None:
    records = list(storage.lines(stored.wal_path))
    victim = records[int(len(records) * where)]
    flip(stored.wal_path, victim.offset + victim.length // 2)
    done = stored.run("wal", "verify")
    assert done.returncode == 3, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    offsets = [int(number) for number in re.findall(r"byte (\d+)", said)]
    assert any(victim.offset <= offset <= victim.offset + victim.length for offset in offsets), (victim, said)
    # with the index gone the log is all there is: the node must refuse to take a damaged one for the truth
    remove_index(stored)
    with pytest.raises(NotReady) as refused:
        stored.start()
    assert re.search(r"byte \d+", str(refused.value)), str(refused.value)
    assert "repair" in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_repair_mends_what_can_be_mended_and_keeps_what_it_cuts(stored: NodeProcess) -> None:
    records = list(storage.lines(stored.wal_path))
    victim = records[20]
    before = stored.wal_path.read_bytes()
    flip(stored.wal_path, victim.offset + victim.length // 2)
    damaged = stored.wal_path.read_bytes()
    done = stored.run("wal", "repair")
    assert done.returncode == 0, done.stdout + done.stderr
    copies = [p for p in stored.wal_dir.rglob("*") if p.is_file() and victim.fields[2].encode() in p.read_bytes()]
    assert copies
    verify_log(stored)
    stored.start()
    client = client_of(stored)
    for key, data in OBJECTS.items():
        answer = client.request("GET", BUCKET, key)
        assert (answer.status, answer.body) in ((200, data), (404, answer.body)), key
    # what lies before the damage is untouched
    files = [path.read_bytes() for path in stored.wal_dir.rglob("*") if path.is_file()]
    assert damaged[: victim.offset] == before[: victim.offset]
    assert any(data.startswith(before[: victim.offset]) for data in files)
    kept = sum(client.request("HEAD", BUCKET, key).status == 200 for key in OBJECTS)
    assert kept >= 18
    assert client.request("PUT", BUCKET, "next", body=b"x").status == 200
    verify_log(stored)


def test_a_missing_index_is_rebuilt(stored: NodeProcess) -> None:
    remove_index(stored)
    try:
        stored.start()
    except NotReady as refused:
        assert "recover" in str(refused)
        done = stored.run("recover")
        assert done.returncode == 0, done.stdout + done.stderr
        stored.start()
    assert_all_there(client_of(stored))
    assert storage.strays(stored) == []


def test_an_index_of_garbage_is_refused_and_rebuilt(stored: NodeProcess) -> None:
    remove_index(stored)
    (stored.storage / ".ironbucket" / "index.db").write_bytes(os.urandom(50_000))
    with pytest.raises(NotReady) as refused:
        stored.start()
        raise NotReady("rebuilt by itself")
    assert "Traceback" not in str(refused.value)
    if not stored.running():
        assert "recover" in str(refused.value)
        done = stored.run("recover")
        assert done.returncode == 0, done.stdout + done.stderr
        stored.start()
    assert_all_there(client_of(stored))


def test_recover_from_files_alone(stored: NodeProcess) -> None:
    """Log and index are gone; the payloads name their keys. What cannot be known is said."""
    remove_index(stored)
    shutil.rmtree(stored.wal_dir)
    stored.wal_dir.mkdir()
    done = stored.run("recover", "--from-files")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    stored.start()
    assert_all_there(client_of(stored))
    verify_log(stored)


def test_a_missing_sequence_file_does_not_matter(stored: NodeProcess) -> None:
    for path in stored.wal_dir.glob("*.sequence*"):
        path.unlink()
    stored.start()
    assert_all_there(client_of(stored))
    assert client_of(stored).request("PUT", BUCKET, "next", body=b"x").status == 200
    sequences = [int(line.fields[2]) for line in storage.lines(stored.wal_path)]
    assert sequences == list(range(1, len(sequences) + 1))


@pytest.mark.parametrize("content", [b"0\n", b"999999\n", b"x", b""])
def test_a_wrong_sequence_file_is_not_trusted_over_the_log(stored: NodeProcess, content: bytes) -> None:
    found = list(stored.wal_dir.glob("*.sequence*"))
    assert found
    found[0].write_bytes(content)
    try:
        stored.start()
    except NotReady as refused:
        # evidence that the log has lost its end: refusing is right, if it is explained
        assert content == b"999999\n", str(refused)
        assert "Traceback" not in str(refused)
        return
    assert client_of(stored).request("PUT", BUCKET, "next", body=b"x").status == 200
    sequences = [int(line.fields[2]) for line in storage.lines(stored.wal_path)]
    assert len(set(sequences)) == len(sequences)
    assert_all_there(client_of(stored))


@pytest.mark.parametrize("left", [0, 1, 50])
def test_a_truncated_payload_is_never_served_as_good(stored: NodeProcess, left: int) -> None:
    path = next(p for p in storage.payloads(stored).values() if p.name.startswith("k05~"))
    os.truncate(path, left)
    stored.start()
    client = client_of(stored)
    for headers in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=60-70"}):
        answer = client.request("GET", BUCKET, "k05", headers=headers)
        assert answer.status >= 500, f"{headers}: {answer}"
        assert answer.code
    assert_others(client, "k05")


def test_a_missing_payload_is_an_error_and_not_a_missing_key(stored: NodeProcess) -> None:
    next(p for p in storage.payloads(stored).values() if p.name.startswith("k05~")).unlink()
    stored.start()
    client = client_of(stored)
    answer = client.request("GET", BUCKET, "k05")
    assert answer.status >= 500, str(answer)
    assert_others(client, "k05")
    assert client.request("PUT", BUCKET, "k05", body=b"again").status == 200
    assert client.request("GET", BUCKET, "k05").body == b"again"


def assert_others(client: RawClient, but: str) -> None:
    for key, data in OBJECTS.items():
        if key != but:
            assert client.request("GET", BUCKET, key).body == data


def test_a_log_restored_from_an_old_copy_is_noticed(nodes: Nodes) -> None:
    """The index knows more than the log: the node says so instead of numbering anew what it had numbered before."""
    node = nodes()
    node.start()
    client = make_bucket(node)
    assert client.request("PUT", BUCKET, "old", body=b"old").status == 200
    node.stop()
    copy = node.wal_path.read_bytes()
    node.start()
    for i in range(5):
        assert client.request("PUT", BUCKET, f"new{i}", body=b"new").status == 200
    node.stop()
    node.wal_path.write_bytes(copy)
    try:
        node.start()
    except NotReady as refused:
        assert re.search(r"recover|epoch|restored", str(refused)), str(refused)
        assert "Traceback" not in str(refused)
        done = node.run("recover")
        assert done.returncode == 0, done.stdout + done.stderr
        node.start()
    client = client_of(node)
    assert client.request("GET", BUCKET, "old").body == b"old"
    assert client.request("PUT", BUCKET, "next", body=b"next").status == 200
    verify_log(node)
