"""What a node gives to peers that have not received it yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ironbucket.replication.fetch import document, from_document
from ironbucket.wal.record import DELETE, PUT
from tests.unit.replication.served import VERSION, Served, filled, served


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as one:
        assert one.send(filled().batch())[0] == 200
        yield one


def test_a_version_and_its_bytes(here: Served) -> None:
    status, answer = here.ask("GET", "object", {"bucket": "photos", "key": "k2"})
    assert status == 200
    found = from_document("photos", "k2", answer)
    assert document(found) == answer
    assert found.version == VERSION[:-1] + "2"
    query = {"bucket": "photos", "key": "k2", "version": found.version, "start": "2", "length": "3"}
    assert here.ask("GET", "bytes", query) == (200, b"ta ")


@pytest.mark.parametrize("query", [{"key": "none"}, {"bucket": "none"}, {"version": VERSION}, {"version_id": VERSION}])
def test_what_is_not_here(here: Served, query: dict[str, str]) -> None:
    assert here.ask("GET", "object", {"bucket": "photos", "key": "k2"} | query)[0] == 404


def test_a_bucket(here: Served) -> None:
    assert here.ask("GET", "bucket", {"bucket": "photos"})[1]["owner"] == "o"
    assert here.ask("GET", "bucket", {"bucket": "none"})[0] == 404


def test_the_bytes_of_a_version_that_was_replaced_here_while_a_peer_reads_it(here: Served) -> None:
    version = VERSION[:-1] + "2"
    log = filled()
    log.add(PUT, "photos", "k2", b"new", version=VERSION[:-1] + "9", replaced=version)
    assert here.send(log.batch())[0] == 200
    place = {"bucket": "photos", "key": "k2", "version": version}
    assert here.ask("GET", "object", {**place, "payload": "1"})[0] == 404
    known = {**place, "size": "6", "parts": "0"}
    assert here.ask("GET", "object", {**known, "payload": "1"})[1]["version"] == version
    assert here.ask("GET", "bytes", {**known, "start": "0", "length": "6"}) == (200, b"data 2")
    for changed in ({"size": "7"}, {"version": "../../x"}, {"bucket": ".."}, {"bucket": ".ironbucket"}, {"key": "k9"}):
        assert here.ask("GET", "object", {**known, "payload": "1"} | changed)[0] == 404
        assert here.ask("GET", "bytes", {**known, "start": "0", "length": "6"} | changed)[0] == 404


def test_what_is_deleted_here_is_not_found(here: Served) -> None:
    log = filled()
    log.add(DELETE, "photos", "k2", version=VERSION, replaced=VERSION[:-1] + "2")
    assert here.send(log.batch())[0] == 200
    assert here.ask("GET", "object", {"bucket": "photos", "key": "k2"})[0] == 404
