"""`apply(record)`: where a client's write, a peer's batch and a recovery meet. One function, one meaning.

It is idempotent, and its result does not depend on the order in which the logs of different nodes are interleaved.
It runs in the index's transaction, under the log's lock; payloads are renamed by `Applied.settle`, which the caller
runs once the record is durable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ironbucket.clock import wall_ms
from ironbucket.node.merge import Merged, merge
from ironbucket.store import buckets, keys
from ironbucket.store.buckets import BucketRow
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version
from ironbucket.store.payloads import Payloads
from ironbucket.wal.record import CREATE_BUCKET, DELETE, DELETE_BUCKET, PUT, UPDATE_METADATA, Record


@dataclass(slots=True)
class Applied:
    """What a group of records has come to: what is left to be done outside the index, and what is known by now.

    Each step of `settle` returns how to take it back, or None when it has moved nothing.
    """

    settle: list[Callable[[], Callable[[], object] | None]] = field(default_factory=list)
    #: (bucket number, key) -> state, of the keys that this transaction has looked at
    states: dict[tuple[int, str], keys.State] = field(default_factory=dict)
    clock: tuple[int, int] = (0, 0)  # the newest stamp among the records


class Applier:
    """`apply` for one index and one set of payloads."""

    def __init__(self, index: Index, payloads: Payloads) -> None:
        self._index, self._payloads = index, payloads

    def apply(self, connection: sqlite3.Connection, record: Record, applied: Applied) -> None:
        """Make the index what it is with `record`."""
        applied.clock = max(applied.clock, record.stamp[:2])
        if record.operation == CREATE_BUCKET:
            self._create_bucket(connection, record, applied)
        elif record.operation == DELETE_BUCKET:
            row = self._row(connection, record)
            buckets.save(connection, replace(row, deleted=max(row.deleted, record.stamp)))
        elif record.key is None:
            self._configure(connection, record)
        else:
            self._change_key(connection, record, applied)

    def _create_bucket(self, connection: sqlite3.Connection, record: Record, applied: Applied) -> None:
        row = self._row(connection, record)
        if record.stamp > row.created:
            row = replace(row, created=record.stamp, owner=str(record.attributes.get("owner", row.owner)))
        for kind, value in record.attributes.get("configuration", {}).items():
            row = row.configured(kind, value, record.stamp)
        buckets.save(connection, row)
        applied.settle.append(lambda: self._payloads.prepare_bucket(record.bucket))

    def _configure(self, connection: sqlite3.Connection, record: Record) -> None:
        row = self._row(connection, record)
        value = record.attributes.get("value") if record.operation == UPDATE_METADATA else None
        buckets.save(connection, row.configured(record.attributes["kind"], value, record.stamp))

    def _change_key(self, connection: sqlite3.Connection, record: Record, applied: Applied) -> None:
        bucket, key = record.bucket, record.key or ""
        row = self._row(connection, record)
        old = self.state(connection, applied, row, key)
        merged = merge(old, record)
        applied.states[row.number, key] = merged.state
        keys.save(connection, row.number, key, old, merged.state, self._origin(connection))
        for freed in merged.freed:
            self._free(connection, freed)
        if record.operation in (PUT, DELETE) and not record.attributes.get("versioned"):
            self._note_conflict(connection, record, merged)
        if record.operation == PUT:
            version, upload = record.version, str(record.attributes.get("upload", ""))
            applied.settle.append(lambda: self._payloads.settle(bucket, key, version, upload))

    def state(self, connection: sqlite3.Connection, applied: Applied, row: BucketRow, key: str) -> keys.State:
        """What is known of a key, the records of this transaction included."""
        place = (row.number, key)
        if place not in applied.states:
            applied.states[place] = keys.load(self._index, connection, row.number, row.name, key)
        return applied.states[place]

    def _row(self, connection: sqlite3.Connection, record: Record) -> BucketRow:
        row = buckets.load(connection, record.bucket)
        if row is None:
            row = buckets.save(connection, BucketRow(0, record.bucket, str(record.attributes.get("owner", ""))))
        elif not row.owner and record.attributes.get("owner"):
            row = buckets.save(connection, replace(row, owner=str(record.attributes["owner"])))
        return row

    def _origin(self, connection: sqlite3.Connection) -> Callable[[str, str], int]:
        return lambda node, epoch: self._index.number(connection, node, epoch) or stream_number(connection, node, epoch)

    def _free(self, connection: sqlite3.Connection, version: Version) -> None:
        path = self._payloads.layout.payload(version.bucket, version.key, version.version)
        connection.execute("INSERT OR IGNORE INTO garbage VALUES (?, ?, ?)", (path, wall_ms(), version.size))

    def _note_conflict(self, connection: sqlite3.Connection, record: Record, merged: Merged) -> None:
        """Keep the ledger: writes that nobody who replaced them had seen. The result does not depend on the order.

        A write of an unversioned key is in the ledger when it is not current and no record that has arrived names it as
        the one it replaced. Unlike the state of the key this counts on each record being applied once, which the heads
        of the logs see to.
        """
        name = keys.encode_key(record.key or "")
        place = (record.bucket, name)
        if "removes" in record.attributes:
            return
        known = connection.execute(
            "DELETE FROM superseded WHERE bucket = ? AND key = ? AND version = ?", (*place, record.version)
        ).rowcount
        lost = merged.lost
        replaced = record.attributes.get("replaced")
        if (lost is not None and lost.version == record.version and not known) or (
            lost is not None and lost.version not in (record.version, replaced)
        ):
            self._ledger(connection, record.bucket, name, lost)
        if replaced is not None and (lost is None or lost.version != replaced):
            found = connection.execute(
                "DELETE FROM conflicts WHERE bucket = ? AND key = ? AND version = ?", (*place, replaced)
            ).rowcount
            if not found:
                connection.execute(
                    "INSERT OR IGNORE INTO superseded VALUES (?, ?, ?, ?)", (*place, replaced, wall_ms())
                )

    def _ledger(self, connection: sqlite3.Connection, bucket: str, key: bytes, lost: Version) -> None:
        operation = PUT if lost.kind is Kind.OBJECT else DELETE
        connection.execute(
            "INSERT OR IGNORE INTO conflicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (bucket, key, lost.version, lost.stamp.ms, lost.stamp.node, operation, lost.size, lost.etag, wall_ms()),
        )


def advance_clock(connection: sqlite3.Connection, clock: tuple[int, int]) -> None:
    """The clock (milliseconds, counter) is never behind any stamp seen."""
    connection.execute("UPDATE clock SET ms = ?, logical = ? WHERE (ms, logical) < (?, ?)", (*clock, *clock))


def stream_number(connection: sqlite3.Connection, node: str, epoch: str) -> int:
    """The row of a stream, made when it is first heard of."""
    row = connection.execute("SELECT id FROM streams WHERE node = ? AND epoch = ?", (node, epoch)).fetchone()
    if row is None:
        cursor = connection.execute(
            "INSERT INTO streams (node, epoch, sequence, chain, segment, offset) VALUES (?, ?, 0, '', 0, 0)",
            (node, epoch),
        )
        return cursor.lastrowid or 0
    return int(row[0])
