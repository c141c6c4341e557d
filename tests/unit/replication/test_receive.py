"""The receiving side: what it takes, what it refuses, and what it leaves behind when it does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironbucket.replication import wire
from ironbucket.wal.record import CREATE_BUCKET, DELETE, PUT, UPDATE_METADATA
from tests.unit.replication.served import EPOCH, VERSION, Log, Served, filled, served

STREAM = f"node-9/{EPOCH}"
LARGE = os.urandom(3_000_000)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as one:
        yield one


def place(key: str = "big", version: str = VERSION, **more: object) -> dict[str, str]:
    return {"bucket": "photos", "key": key, "version": version, **{name: str(value) for name, value in more.items()}}


def read(here: Served, key: str) -> bytes:
    return here.node.objects.payload(here.node.objects.get("photos", key)).read()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# -- batches -----------------------------------------------------------------------------------------------------------


def test_a_batch_is_applied_and_its_lines_are_kept_verbatim(here: Served) -> None:
    log = filled()
    status, answer = here.send(log.batch())
    assert status == 200
    assert answer["vector"][STREAM] == [4, log.chain]
    assert read(here, "k2") == b"data 2"
    (copy,) = Path(here.node.files.directory, "peers", "node-9").glob("*.log")
    assert copy.read_bytes().partition(b"\n")[2] == b"".join(entry.line.raw for entry in log.entries)


def test_a_batch_that_comes_again_changes_nothing(here: Served) -> None:
    log = filled(5)
    for begin, end in [(0, 3), (0, 3), (1, 2), (2, 6), (0, 6)]:
        status, answer = here.send(log.batch(begin, end))
        assert status == 200, answer
    assert answer["vector"][STREAM] == [6, log.chain]
    (copy,) = Path(here.node.files.directory, "peers", "node-9").glob("*.log")
    assert copy.read_bytes().count(b"\n") == 7


def test_what_does_not_continue_the_copy_is_not_taken(here: Served) -> None:
    log = filled(5)
    assert here.send(log.batch(2))[0] == 409
    assert here.send(log.batch(0, 2))[0] == 200
    assert here.send(log.batch(3))[0] == 503
    assert here.ask("GET", "vector")[1]["vector"] == {STREAM: [2, log.entries[1].line.chain]}


def test_two_logs_under_one_name_are_told_apart(here: Served) -> None:
    mine, other = filled(2), filled(1)
    other.add(DELETE, "photos", "k1", version=VERSION)
    other.add(DELETE, "photos", "k1", version=VERSION)
    assert here.send(mine.batch())[0] == 200
    for begin in (2, 3):
        status, answer = here.send(other.batch(begin))
        assert (status, answer["code"]) == (409, "Refused"), answer
        assert answer["refused"].startswith(STREAM)
    assert read(here, "k2") == b"data 2"


def test_the_copy_goes_on_where_the_index_ends(here: Served, tmp_path: Path) -> None:
    """Another process wrote lines and died before its commit, also when they were the first of all."""
    log = filled(5)
    directory = Path(here.node.files.directory, "peers", "node-9")
    directory.mkdir(parents=True)
    lines = [entry.line.raw for entry in log.entries]
    (directory / f"{EPOCH}.log").write_bytes(log.piece().header.encode() + b"".join(lines[:3]) + lines[3][:10])
    assert here.send(log.batch(0, 2))[0] == 200
    with (directory / f"{EPOCH}.log").open("ab") as copy:
        copy.write(lines[2] + lines[3][:7])
    assert here.send(log.batch(2))[0] == 200
    assert (directory / f"{EPOCH}.log").read_bytes() == log.piece().header.encode() + b"".join(lines)


def test_this_nodes_own_log_is_not_taken_from_others(here: Served) -> None:
    log = Log("node-1", here.node.identity.epoch)
    log.add(CREATE_BUCKET, "photos", owner="o")
    status, answer = here.send(log.batch())
    assert (status, answer["code"]) == (409, "Refused")


def test_a_payload_that_is_not_the_one_that_was_stored_is_refused_and_named(here: Served) -> None:
    log = filled(1)
    log.add(PUT, "photos", "bad", b"evil", version=VERSION, etag=hashlib.md5(b"good").hexdigest())
    status, answer = here.send(log.batch())
    assert (status, answer["refused"]) == (409, f"{STREAM}/3")
    assert here.ask("GET", "vector")[1]["vector"] == {}


def test_a_stamp_from_the_far_future_is_refused(here: Served) -> None:
    log = Log()
    log.add(CREATE_BUCKET, "photos", owner="o", ms=4_000_000_000_000)
    status, answer = here.send(log.batch())
    assert (status, answer["refused"]) == (409, f"{STREAM}/1")
    assert "clock" in answer["message"]


# -- what might do harm ------------------------------------------------------------------------------------------------

NAMES = ["../evil", "..", ".ironbucket", "a/b", "/etc", "a\0b", "", "x" * 300]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_no_record_names_a_path_outside_of_its_bucket(here: Served, tmp_path: Path, name: str) -> None:
    before = files(tmp_path)
    attempts: list[Log] = []
    for operation in (CREATE_BUCKET, PUT, DELETE):
        log = Log()
        key = None if operation == CREATE_BUCKET else "k"
        log.add(operation, name, key, b"x" if operation == PUT else None, version=VERSION)
        attempts.append(log)
    for attributes in ({"version": name}, {"version": VERSION, "upload": name}):
        log = Log()
        log.add(PUT, "photos", "k", b"x", **attributes)
        attempts.append(log)
    log = Log()
    log.add(PUT, "photos", "k", wire.GONE, version=name)
    attempts.append(log)
    for log in attempts:
        status, answer = here.send(log.batch())
        assert status in (400, 409), answer
    assert {path for path in files(tmp_path) - before if "/peers/" not in path} == set()
    assert not any(path.name == "evil" for path in tmp_path.parent.glob("*"))


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", "node 9", "", "N"], ids=repr)
def test_no_node_names_a_path(here: Served, tmp_path: Path, name: str) -> None:
    log = Log()
    log.add(CREATE_BUCKET, "photos", owner="o")
    assert here.send(log.batch().replace(b"node=node-9", b"node=" + name.encode()))[0] == 400
    log = Log(node=name)
    log.add(CREATE_BUCKET, "photos", owner="o")
    assert here.send(log.batch())[0] == 400
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("field", ["bucket", "version", "name"])
def test_no_payload_names_a_path(here: Served, tmp_path: Path, field: str, name: str) -> None:
    before = files(tmp_path)
    query = {**place(offset=0, size=1), field: name}
    if not (field == "name" and not name):  # without a name it is a payload of one file
        for method in ("GET", "PUT"):
            assert here.ask(method, "payload", query, b"x" if method == "PUT" else b"")[0] == 400
        assert files(tmp_path) == before


@pytest.mark.parametrize(
    "attributes",
    [
        {"kind": 5, "of": VERSION, "of_stamp": [1, 0, "n", "e"]},
        {"kind": "tags", "of": VERSION, "of_stamp": [1]},
        {"kind": "tags", "of": VERSION, "of_stamp": "abc"},
        {"kind": "tags"},
        {"logical": "x", "kind": "tags", "of": VERSION, "of_stamp": [1, 0, "n", "e"]},
    ],
    ids=repr,
)
def test_a_record_that_cannot_be_applied_is_refused_and_harms_no_other_write(
    here: Served, attributes: dict[str, Any]
) -> None:
    log = filled(1)
    log.add(UPDATE_METADATA, "photos", "k1", **attributes)
    status, answer = here.send(log.batch())
    assert (status, answer["refused"]) == (409, f"{STREAM}/3")
    assert here.send(log.batch(0, 2))[0] == 200


def test_only_who_knows_the_secret_is_answered(here: Served) -> None:
    batch = filled().batch()
    for what in ("vector", "payload", "object", "bytes"):
        assert here.ask("GET", what, place(), signed=False)[0] == 403
        assert here.ask("GET", what, place(), secret="another secret of that length")[0] == 403
    assert here.ask("POST", "batch", body=batch, signed=False)[0] == 403
    assert here.ask("POST", "batch", body=batch, secret="another secret of that length")[0] == 403
    changed = {"REQUEST_URI": "/-/replicate/payload?bucket=other&key=k&version=" + VERSION}
    assert here.ask("GET", "payload", place(), **changed)[0] == 403
    assert here.ask("GET", "vector")[1]["vector"] == {}


def test_a_body_is_the_one_that_was_signed(here: Served) -> None:
    import io

    good, other = filled(2).batch(), filled(3).batch()
    status, answer = here.ask(
        "POST", "batch", body=good, **{"wsgi.input": io.BytesIO(other), "CONTENT_LENGTH": str(len(other))}
    )
    assert (status, answer["code"]) == (400, "CorruptBatch")


def test_a_batch_beyond_all_measure_is_not_read(here: Served) -> None:
    status, answer = here.ask("POST", "batch", CONTENT_LENGTH=str(wire.MAX_BODY + 1))
    assert (status, answer["code"]) == (400, "CorruptBatch")


@pytest.mark.parametrize("query", [{}, {"bucket": "photos"}, place(offset="x", size=1), place(offset=0)], ids=repr)
def test_a_question_that_lacks_something_is_a_bad_request(here: Served, query: dict[str, str]) -> None:
    assert here.ask("PUT", "payload", query, b"x")[0] == 400


def test_other_paths_are_not_found(here: Served) -> None:
    assert here.ask("GET", "../../etc/passwd")[0] == 404
    assert here.ask("DELETE", "vector")[0] == 404


# -- large payloads ----------------------------------------------------------------------------------------------------


def announce(key: str = "big", size: int = len(LARGE)) -> Log:
    log = Log()
    log.add(CREATE_BUCKET, "photos", owner="o")
    etag = hashlib.md5(LARGE).hexdigest()
    log.add(PUT, "photos", key, wire.SENT, version=VERSION, size=size, etag=etag, owner="o")
    return log


def bring(here: Served, data: bytes, offset: int, key: str = "big", size: int = len(LARGE)) -> tuple[int, Any]:
    query = place(key, offset=offset, size=size, etag=hashlib.md5(LARGE).hexdigest())
    return here.ask("PUT", "payload", query, data)


@pytest.mark.parametrize("key", ["big", "x" * 900, "ö" * 400])
def test_a_payload_arrives_piece_by_piece(here: Served, tmp_path: Path, key: str) -> None:
    assert here.ask("GET", "payload", place(key))[1] == {"size": 0}
    assert bring(here, LARGE[:1_000_000], 0, key)[0] == 200
    assert here.ask("GET", "payload", place(key))[1] == {"size": 1_000_000}
    assert bring(here, LARGE[2_000_000:], 2_000_000, key)[0] == 503, "not where what is here ends"
    assert bring(here, LARGE[1_000_000:], 1_000_000, key)[0] == 200
    assert here.ask("GET", "payload", place(key))[1] == {"size": -1}
    assert here.send(announce(key).batch())[0] == 200
    assert read(here, key) == LARGE
    staged = [path for path in files(tmp_path) if ".staging" in path]
    assert staged == []
    (settled,) = here.node.payloads.settled("photos")
    assert settled[0] == key, "its key can be told from its file"


@pytest.mark.parametrize("there", [0, 1_000_000, len(LARGE) - 1])
def test_a_payload_that_is_not_whole_is_not_taken_as_sent(here: Served, there: int) -> None:
    if there:
        assert bring(here, LARGE[:there], 0)[0] == 200
    status, answer = here.send(announce().batch())
    assert (status, answer["code"]) == (503, "ServiceUnavailable")
    assert here.ask("GET", "vector")[1]["vector"] == {}


def test_a_payload_of_another_size_is_not_taken(here: Served) -> None:
    assert bring(here, LARGE, 0)[0] == 200
    assert here.send(announce(size=len(LARGE) + 1).batch())[0] == 503


def test_a_payload_that_changed_on_the_way_is_thrown_away(here: Served) -> None:
    assert bring(here, b"x" + LARGE[1:], 0)[0] == 400
    assert here.ask("GET", "payload", place())[1] == {"size": 0}
    assert bring(here, LARGE, 0)[0] == 200
    assert here.send(announce().batch())[0] == 200


def test_all_bytes_are_here_and_nobody_has_compared_them(here: Served) -> None:
    """The receiver was killed after the last byte: an empty rest completes the payload."""
    assert bring(here, LARGE[:-1], 0)[0] == 200
    (part,) = Path(here.node.payloads.layout.staging("photos")).iterdir()
    with part.open("ab") as file:
        file.write(LARGE[-1:])
    assert here.ask("GET", "payload", place())[1] == {"size": len(LARGE)}
    assert bring(here, b"", len(LARGE))[0] == 200
    assert here.ask("GET", "payload", place())[1] == {"size": -1}


def test_more_is_here_than_there_ever_was(here: Served) -> None:
    assert bring(here, LARGE + b"12345", 0, size=len(LARGE) + 9)[0] == 200
    assert bring(here, LARGE, 0)[0] == 200
    assert here.ask("GET", "payload", place())[1] == {"size": -1}


def test_an_announced_payload_that_is_gone_leaves_nothing_in_staging(here: Served, tmp_path: Path) -> None:
    assert bring(here, LARGE[:1000], 0)[0] == 200
    log = announce()
    log.entries[1].payload = wire.GONE
    assert here.send(log.batch())[0] == 200
    assert [path for path in files(tmp_path) if ".staging" in path] == []


def test_a_put_without_its_payload_is_corrupt(here: Served) -> None:
    log = announce()
    log.entries[1].payload = None
    assert here.send(log.batch())[0] == 400
