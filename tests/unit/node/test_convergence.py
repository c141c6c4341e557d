"""Convergence: the logs of several nodes, applied in any order of origins, come to the same index and the same ledger.

A history is made first: each of three origins changes what it has seen, and now and then sees more of another's log.
Then the logs are applied to an empty index in several orders, pieces of them delivered twice. MERGE_EXAMPLES sets how
many histories are tried.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironbucket.clock import following
from ironbucket.node.apply import Applied, Applier
from ironbucket.node.merge import merge
from ironbucket.store import keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import Payloads
from ironbucket.wal.record import (
    CREATE_BUCKET,
    DELETE,
    DELETE_BUCKET,
    DELETE_METADATA,
    PUT,
    UPDATE_METADATA,
    Record,
)
from tests.harness.cluster import content_of
from tests.harness.records import Entry, outcomes

EXAMPLES = int(os.environ.get("MERGE_EXAMPLES", "150"))
ORDERS = 8
BUCKETS, KEYS = ("bucket-a", "bucket-b"), ("k", "l")
KINDS = ("tags", "acl")


class Origin:
    """A node as far as it matters: what it has seen, its clock, its log."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log: list[Record] = []
        self.seen: dict[str, int] = {}
        self.states: dict[tuple[str, str], keys.State] = {}
        self.clock = (0, 0)

    def write(self, wall: int, operation: str, bucket: str, key: str | None = None, **attributes: Any) -> None:
        self.clock = following(*self.clock, wall)
        if self.clock[1]:
            attributes["logical"] = self.clock[1]
        put = operation == PUT
        sequence = len(self.log) + 1
        record = Record(
            operation,
            self.name,
            sequence,
            self.clock[0],
            bucket,
            key,
            sequence if put else None,
            f"{sequence:032x}" if put else None,
            attributes,
            f"e{self.name}",
        )
        self.log.append(record)
        self.see(record)

    def see(self, record: Record) -> None:
        self.seen[record.node] = record.sequence
        self.clock = max(self.clock, record.stamp[:2])
        if record.key is not None:
            place = (record.bucket, record.key)
            self.states[place] = merge(self.states.get(place, ()), record).state

    def catch_up(self, other: Origin, upto: int) -> None:
        for record in other.log[self.seen.get(other.name, 0) : upto]:
            self.see(record)


def step(origins: list[Origin], chance: random.Random, wall: int, *, versioned: bool) -> None:
    """Something happens at one of the origins."""
    origin = chance.choice(origins)
    other = chance.choice(origins)
    if chance.random() < 0.25 and other is not origin:
        origin.catch_up(other, chance.randint(0, len(other.log)))
        return
    bucket, key = chance.choice(BUCKETS), chance.choice(KEYS)
    state = origin.states.get((bucket, key), ())
    holder = next((one for one in state if one.null and one.kind is not Kind.PENDING), None)
    replaced = {"replaced": holder.version} if holder is not None else {}
    version = f"{origin.name}{len(origin.log):025d}".upper()
    live = [one for one in state if one.kind is Kind.OBJECT]
    what = chance.random()
    as_version = versioned and chance.random() < 0.5
    if what < 0.45:
        kept = {"versioned": True} if as_version else replaced
        origin.write(wall, PUT, bucket, key, version=version, owner=origin.name, **kept)
    elif what < 0.65:
        kept = {"versioned": True, "marker": True} if as_version else replaced
        origin.write(wall, DELETE, bucket, key, version=version, **kept)
    elif what < 0.75 and versioned and state:
        gone = chance.choice(state)
        if not gone.null and gone.kind in (Kind.OBJECT, Kind.DELETE_MARKER):
            origin.write(wall, DELETE, bucket, key, removes=gone.version, versioned=True)
    elif what < 0.88 and live:
        target = chance.choice(live)
        more: dict[str, Any] = {} if target.null else {"versioned": True}
        operation = DELETE_METADATA if chance.random() < 0.3 else UPDATE_METADATA
        if operation == UPDATE_METADATA:
            more["value"] = {"v": len(origin.log)}
        kind = chance.choice(KINDS)
        origin.write(wall, operation, bucket, key, of=target.version, of_stamp=list(target.stamp), kind=kind, **more)
    elif what < 0.92:
        origin.write(wall, CREATE_BUCKET, bucket, owner="o", configuration={"versioning": origin.name})
    elif what < 0.96:
        origin.write(wall, DELETE_BUCKET, bucket)
    else:
        origin.write(wall, UPDATE_METADATA, bucket, kind=chance.choice(KINDS), value=len(origin.log))


def history(seed: int, steps: int, *, versioned: bool) -> list[list[Record]]:
    """The logs of three origins whose clocks are apart."""
    chance = random.Random(seed)
    origins = [Origin(name) for name in ("a", "b", "c")]
    apart = {origin.name: chance.randrange(3) for origin in origins}
    for origin in origins:
        for bucket in BUCKETS:  # so that its owner does not depend on who is heard of first
            origin.write(1 + apart[origin.name], CREATE_BUCKET, bucket, owner="o")
    for tick in range(steps):
        step(origins, chance, 2 + tick // 3 + apart[chance.choice(origins).name], versioned=versioned)
    return [origin.log for origin in origins]


class _Undo(Exception):
    pass


class Place:
    """An index that is empty again after each use."""

    def __init__(self, folder: Path) -> None:
        layout = Layout(str(folder))
        self.index = Index(layout.index)
        self.applier = Applier(self.index, Payloads(layout))

    def come_to(self, logs: list[list[Record]], chance: random.Random) -> dict[str, Any]:
        """What the index holds after these logs, in an order that `chance` gives; pieces are delivered again."""
        found: dict[str, Any] = {}
        try:
            with self.index.transaction() as connection:
                heads = dict.fromkeys(range(len(logs)), 0)
                while any(heads[i] < len(log) for i, log in enumerate(logs)):
                    i = chance.randrange(len(logs))
                    begin = max(0, heads[i] - chance.randrange(3))
                    self._deliver(connection, logs[i][begin : begin + chance.randrange(1, 6)], heads, i)
                found = content_of(connection)
                found["garbage"] = sorted(connection.execute("SELECT path, size FROM garbage"))
                raise _Undo
        except _Undo:
            return found

    def _deliver(self, connection: sqlite3.Connection, piece: list[Record], heads: dict[int, int], i: int) -> None:
        applied = Applied()
        for record in piece:
            if record.sequence == heads[i] + 1:  # what is known already is skipped, as by the receiver
                self.applier.apply(connection, record, applied)
                heads[i] = record.sequence


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("index"))
    yield made
    made.index.close()


relaxed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@relaxed
@given(seed=st.integers(0, 1 << 32), steps=st.integers(1, 60), versioned=st.booleans())
def test_any_order_of_origins_comes_to_the_same(place: Place, seed: int, steps: int, versioned: bool) -> None:
    logs = history(seed, steps, versioned=versioned)
    first = place.come_to(logs, random.Random(0))
    for order in range(1, ORDERS):
        other = place.come_to(logs, random.Random(order))
        for table, rows in first.items():
            assert other[table] == rows, f"{table} depends on the order"


@relaxed
@given(seed=st.integers(0, 1 << 32), steps=st.integers(1, 60))
def test_the_last_writer_wins_and_the_ledger_holds_what_lost_unseen(place: Place, seed: int, steps: int) -> None:
    """Compared with the rules as they are told, worked out from the logs alone."""
    logs = history(seed, steps, versioned=False)
    found = place.come_to(logs, random.Random(seed))
    told = outcomes(
        Entry(r.operation, r.node, r.epoch, r.sequence, r.ms, r.bucket, r.key or "", r.etag or "", dict(r.attributes))
        for log in logs
        for r in log
    )
    live = {(row[0], row[1].decode()): row[2] for row in found["objects"]}
    assert live == {place: one.current.version for place, one in told.items() if one.current.operation == PUT}
    ledger = {(row[0], row[1].decode(), row[2]) for row in found["conflicts"]}
    assert ledger == {(*place, entry.version) for place, one in told.items() for entry in one.lost}
    written = [record for log in logs for record in log if record.operation == PUT]
    freed = {path.rpartition("~")[2] for path, _ in found["garbage"]}
    assert freed == {record.version for record in written} - set(live.values()), "every payload is live or freed"


def _plain(entry: Version) -> Iterator[str]:
    for field in dataclasses.fields(entry):
        value = getattr(entry, field.name)
        yield json.dumps(value, sort_keys=True) if isinstance(value, dict) else repr(value)


@relaxed
@given(seed=st.integers(0, 1 << 32), steps=st.integers(1, 40))
def test_the_state_of_a_key_is_the_same_however_often_a_record_is_met(seed: int, steps: int) -> None:
    """The merge alone, without the receiver's skipping: any order at all, any repetition."""
    records = [r for log in history(seed, steps, versioned=True) for r in log if r.key is not None]
    for place in {(r.bucket, r.key) for r in records}:
        mine = [r for r in records if (r.bucket, r.key) == place]
        results = []
        for order in range(4):
            chance = random.Random(order)
            state: keys.State = ()
            for record in chance.sample(mine * 2, len(mine) * 2):
                state = merge(state, record).state
            results.append(sorted((*_plain(one),) for one in state))
        assert all(result == results[0] for result in results)
