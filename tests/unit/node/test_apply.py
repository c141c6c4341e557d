"""Applying records in any order: buckets, the conflict ledger, what is left to be settled and freed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironbucket.node.apply import Applied, Applier, advance_clock, stream_number
from ironbucket.store import buckets
from ironbucket.store.index import Index
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import Payloads
from ironbucket.wal.record import CREATE_BUCKET, DELETE, DELETE_BUCKET, DELETE_METADATA, PUT, UPDATE_METADATA, Record
from tests.unit.node.test_merge import Writer, histories, interleave, place, seeds


class Fresh:
    """An index that records are applied to."""

    def __init__(self, folder: str) -> None:
        self.index = Index(f"{folder}/index.db")
        self.payloads = Payloads(Layout(folder))
        self.applier = Applier(self.index, self.payloads)

    def apply(self, records: list[Record]) -> None:
        with self.index.transaction() as connection:
            for record in records:
                stream_number(connection, record.node, record.epoch)
                self.applier.apply(connection, record, Applied())

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        return sorted(self.index.reader.execute(statement), key=repr)


@contextlib.contextmanager
def fresh() -> Iterator[Fresh]:
    with tempfile.TemporaryDirectory() as folder:
        made = Fresh(folder)
        yield made
        made.index.close()


def distinct(records: list[Record]) -> list[Record]:
    """Each record once, at its first place: as the heads of the logs have it."""
    return list({(one.node, one.sequence): one for one in reversed(records)}.values())[::-1]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_the_ledger_holds_what_is_not_current_and_replaced_by_nobody(chance: Random) -> None:
    logs = histories(chance)
    records = [record for log in logs for record in log]
    null = [
        one
        for one in records
        if one.operation in (PUT, DELETE) and not one.attributes.get("versioned") and "removes" not in one.attributes
    ]
    newest = max(null, key=place, default=None)
    named = {one.attributes.get("replaced") for one in null}
    expected = sorted(one.version for one in null if one is not newest and one.version not in named)
    for _ in range(2):
        with fresh() as node:
            node.apply(interleave_once(logs, chance))
            assert [row[0] for row in node.rows("SELECT version FROM conflicts")] == expected


def interleave_once(logs: list[list[Record]], chance: Random) -> list[Record]:
    rest, order = [list(log) for log in logs], []
    while any(rest):
        order.append(chance.choice([log for log in rest if log]).pop(0))
    return order


def bucket_logs(chance: Random) -> list[list[Record]]:
    """Three nodes create, delete, configure and fill one bucket, without knowing of each other."""
    logs = []
    for name in "abc":
        log: list[Record] = []
        ms = 0
        for sequence in range(1, chance.randint(2, 5)):
            ms += chance.randint(1, 3)
            operation = chance.choice([CREATE_BUCKET, DELETE_BUCKET, UPDATE_METADATA, DELETE_METADATA, PUT, DELETE])
            attributes: dict[str, object] = {
                CREATE_BUCKET: {"owner": name, "configuration": {"acl": name}},
                DELETE_BUCKET: {},
                UPDATE_METADATA: {"kind": "policy", "value": f"{name}{sequence}"},
                DELETE_METADATA: {"kind": "policy"},
            }.get(operation, {"version": f"{name}{sequence}", "owner": name})
            key = "key" if operation in (PUT, DELETE) else None
            size, etag = (1, "e") if operation == PUT else (None, None)
            log.append(Record(operation, name, sequence, ms, "photos", key, size, etag, attributes, f"e{name}"))
        logs.append(log)
    creation = Record(CREATE_BUCKET, "a", 0, 0, "photos", attributes={"owner": "first"}, epoch="ea")
    return [[creation, *logs[0]], logs[1], logs[2]]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_a_bucket_does_not_depend_on_the_order(chance: Random) -> None:
    logs = bucket_logs(chance)
    records = [record for log in logs for record in log]
    found = []
    for _ in range(3):
        with fresh() as node:
            node.apply(interleave(logs, chance))
            row = buckets.load(node.index.reader, "photos")
            assert row is not None
            exists = buckets.exists(node.index.reader, row)
            found.append((row.created, row.deleted, row.configuration, row.owner, exists))
    assert found[0] == found[1] == found[2]
    created = max((one.stamp for one in records if one.operation == CREATE_BUCKET), default=buckets.NEVER)
    deleted = max((one.stamp for one in records if one.operation == DELETE_BUCKET), default=buckets.NEVER)
    written = max((one for one in records if one.key), key=lambda one: one.stamp, default=None)
    assert found[0][4] == (created > deleted or (written is not None and written.operation == PUT))


def test_what_is_freed_is_garbage(tmp_path: Path) -> None:
    writer = Writer("a")
    for number in (1, 2):
        writer.write("put", number, number, 0)
    node = Fresh(str(tmp_path))
    node.apply(writer.log)
    node.apply(writer.log)
    assert node.rows("SELECT path, size FROM garbage") == [(node.payloads.layout.payload("photos", "key", "V001a"), 1)]
    node.index.close()


def test_a_payload_is_settled_and_taken_back(tmp_path: Path) -> None:
    node = Fresh(str(tmp_path))
    applied = Applied()
    node.payloads.prepare_bucket("photos")
    staged = Path(node.payloads.layout.staged("photos", "key", "V"))
    staged.touch()
    record = Record(PUT, "a", 1, 1, "photos", "key", 0, "e", {"version": "V"}, "e")
    with node.index.transaction() as connection:
        node.applier.apply(connection, record, applied)
    take_back = applied.settle[0]()
    assert take_back is not None
    assert not staged.exists()
    assert applied.settle[0]() is None, "once"
    take_back()
    assert staged.exists()
    node.index.close()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1))
@settings(max_examples=20, deadline=None)
def test_the_clock_is_never_behind(stamps: list[tuple[int, int]]) -> None:
    with fresh() as node, node.index.transaction() as connection:
        for ms, logical in stamps:
            advance_clock(connection, (ms, logical))
        assert connection.execute("SELECT ms, logical FROM clock").fetchone() == max(stamps)


@pytest.mark.parametrize("operation", [CREATE_BUCKET, DELETE_BUCKET, UPDATE_METADATA])
def test_the_first_word_of_a_bucket_makes_its_row(tmp_path: Path, operation: str) -> None:
    node = Fresh(str(tmp_path))
    node.apply([Record(operation, "a", 1, 1, "photos", attributes={"kind": "acl", "value": 1}, epoch="e")])
    assert node.rows("SELECT name FROM buckets") == [("photos",)]
    node.index.close()
