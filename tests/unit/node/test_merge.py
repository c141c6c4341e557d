"""Merging is idempotent and does not depend on the order in which the logs of different nodes are interleaved."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironbucket.clock import Stamp
from ironbucket.node.merge import merge
from ironbucket.store.keys import State, current
from ironbucket.store.model import Kind, Version
from ironbucket.wal.record import CREATE_BUCKET, DELETE, DELETE_METADATA, PUT, UPDATE_METADATA, Record

seeds = st.integers(0, 2**64).map(Random)

NODES = ("a", "b", "c")
ACTIONS = ("put", "put", "versioned", "delete", "null marker", "marker", "remove", "update", "unset", "expire")


def canonical(state: State) -> frozenset[Any]:
    attributes = {one.version: json.dumps(one.attributes, sort_keys=True) for one in state}
    assert len(attributes) == len(state), "one entry for each version"
    return frozenset((repr(replace(one, is_latest=True, attributes={})), attributes[one.version]) for one in state)


class Writer:
    """A node that makes records as `ironbucket.node.objects` does: of what it knows."""

    def __init__(self, name: str) -> None:
        self.name, self.state, self.log, self.known = name, (), [], set()  # type: ignore[var-annotated]

    def learn(self, record: Record) -> None:
        self.state = merge(self.state, record).state

    def write(self, action: str, ms: int, number: int, pick: int) -> None:
        version = f"V{number:03d}{self.name}"
        live = [one for one in self.state if one.kind in (Kind.OBJECT, Kind.DELETE_MARKER)]
        holder = next((one for one in self.state if one.null and one.kind is not Kind.PENDING), None)
        replaced = {"replaced": holder.version} if holder else {}
        operation, attributes, etag = DELETE, {"version": version, **replaced}, None
        if action in ("put", "versioned"):
            operation, etag = PUT, f"{number:032x}"
            attributes = {
                "version": version,
                "type": "t",
                **({"versioned": True} if action == "versioned" else replaced),
            }
        elif action == "marker":
            attributes = {"version": version, "versioned": True, "marker": True}
        elif action == "null marker":
            attributes["marker"] = True
        elif action == "remove":
            versions = [one for one in live if not one.null]
            if not versions:
                return
            attributes = {"removes": versions[pick % len(versions)].version, "versioned": True}
        elif action == "expire":
            newest = current(self.state)
            if newest is None or newest.kind is not Kind.OBJECT:
                return
            attributes = expiration(newest, holder, attributes, pick % 3, ms)
        elif action in ("update", "unset"):
            objects = [one for one in live if one.kind is Kind.OBJECT]
            if not objects:
                return
            target = objects[pick % len(objects)]
            operation = UPDATE_METADATA if action == "update" else DELETE_METADATA
            attributes = {"of": target.version, "of_stamp": list(target.stamp), "kind": ("tags", "acl")[pick % 2]}
            attributes |= {"versioned": True} if not target.null else {}
            attributes |= {"value": {"n": str(number)}} if action == "update" else {}
        record = Record(
            operation,
            self.name,
            len(self.log) + 1,
            ms,
            "photos",
            "key",
            number if etag else None,
            etag,
            attributes,
            f"e{self.name}",
        )
        self.log.append(record)
        self.learn(record)


def expiration(
    newest: Version, holder: Version | None, attributes: dict[str, Any], how: int, ms: int
) -> dict[str, Any]:
    """The attributes of an expiration without versioning, with it suspended, and with it enabled."""
    seen, marker = newest.stamp, {"marker": True, "made": ms}
    if how == 0 and not newest.null:
        return {"removes": newest.version, "versioned": True}
    if how == 1:
        seen = max(seen, holder.stamp) if holder else seen
        attributes = {**attributes, **marker}
    elif how == 2:
        attributes = {"version": attributes["version"], "versioned": True, **marker}
    return {**attributes, "as_of": [seen.ms, seen.logical]}


def histories(chance: Random) -> list[list[Record]]:
    """The logs of three nodes that write at one key, and now and then hear of each other."""
    writers = [Writer(name) for name in NODES]
    heard = {(to, of): 0 for to in range(3) for of in range(3)}
    for number in range(1, chance.randint(1, 14)):
        who, of = chance.choices(range(3), k=2)
        writer = writers[who]
        if who != of:
            for record in writers[of].log[heard[who, of] :]:
                writer.learn(record)
            heard[who, of] = len(writers[of].log)
        # a stamp is later than all that its node has seen; those of different nodes may meet the same millisecond
        seen = [one.ms for one in writer.log] + [one.stamp.ms for one in writer.state] + [chance.randint(0, 3)]
        writer.write(chance.choice(ACTIONS), max(seen) + 1, number, chance.randint(0, 3))
    return [writer.log for writer in writers]


def interleave(logs: list[list[Record]], chance: Random) -> list[Record]:
    """Any order that keeps each log's own, with repetitions of what has come before."""
    rest, order = [list(log) for log in logs], []
    while any(rest):
        order.append(chance.choice([log for log in rest if log]).pop(0))
        if chance.random() < 0.25:
            order.append(chance.choice(order))
    return order


def place(record: Record) -> Any:
    """Where a null write comes among the others: an expiration right after what it saw."""
    as_of = record.attributes.get("as_of")
    return Stamp(as_of[0], as_of[1] + 1, record.node, record.epoch) if as_of else record.stamp


def outcome(records: list[Record]) -> State:
    state: State = ()
    for record in records:
        state = merge(state, record).state
    return state


@settings(max_examples=1000, deadline=None)
@given(seeds)
def test_any_order_leads_to_the_same_state(chance: Random) -> None:
    logs = histories(chance)
    expected = canonical(outcome([record for log in logs for record in log]))
    for _ in range(3):
        assert canonical(outcome(interleave(logs, chance))) == expected


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_every_payload_is_kept_or_freed(chance: Random) -> None:
    logs = histories(chance)
    state: State = ()
    freed: set[str] = set()
    for record in interleave(logs, chance):
        merged = merge(state, record)
        state = merged.state
        freed |= {one.version for one in merged.freed}
    live = {one.version for one in state if one.kind is Kind.OBJECT}
    assert not live & freed
    assert live | freed == {record.version for log in logs for record in log if record.operation == PUT}


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_the_newest_null_write_and_every_version_that_nobody_removed(chance: Random) -> None:
    records = [record for log in histories(chance) for record in log]
    state = outcome(records)
    null = [
        one
        for one in records
        if one.operation in (PUT, DELETE) and not one.attributes.get("versioned") and "removes" not in one.attributes
    ]
    if null:
        newest = max(null, key=place)
        holder = next(one for one in state if one.null and one.kind is not Kind.PENDING)
        assert holder.version == newest.version
    removed = {one.attributes["removes"] for one in records if "removes" in one.attributes}
    versioned = {one.version for one in records if one.attributes.get("versioned") and one.version}
    kept = {one.version for one in state if not one.null and one.kind in (Kind.OBJECT, Kind.DELETE_MARKER)}
    assert kept == versioned - removed


def version(number: int, kind: Kind = Kind.OBJECT) -> Version:
    writer = Writer("a")
    writer.write("versioned" if kind is Kind.OBJECT else "marker", number, number, 0)
    return writer.state[0]


def test_the_newest_is_current() -> None:
    assert current([]) is None
    older, newer = version(1), version(2, Kind.DELETE_MARKER)
    assert current([older, newer]) is newer
    assert current([newer, older]) is newer


def test_what_is_no_change_of_a_key() -> None:
    with pytest.raises(ValueError, match="CREATE_BUCKET"):
        merge((), Record(CREATE_BUCKET, "a", 1, 1, "photos"))
