"""Rows of the table `buckets`.

A bucket is a register: its newest creation and its newest deletion. It exists when the creation is the newer one, or
when it holds a live version: an acknowledged object is never lost to a deletion that had not seen it. Each kind of
configuration is a register too, and counts only when it is newer than the deletion. Rows are never removed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ironbucket.clock import Stamp
from ironbucket.store.model import Bucket

NEVER = Stamp(0, 0, "", "")
_COLUMNS = "id, name, owner, created, deleted, configuration"


@dataclass(frozen=True, slots=True)
class BucketRow:
    """All that is known of a name."""

    number: int
    name: str
    owner: str
    created: Stamp = NEVER
    deleted: Stamp = NEVER
    #: kind -> (value or None, stamp)
    configuration: tuple[tuple[str, Any, Stamp], ...] = ()

    def bucket(self) -> Bucket:
        """The bucket that clients see; whether it exists is another question (`exists`)."""
        newer = {kind: value for kind, value, stamp in self.configuration if value is not None and stamp > self.deleted}
        return Bucket(self.name, max(self.created, self.deleted), self.owner, newer)

    def configured(self, kind: str, value: Any, stamp: Stamp) -> BucketRow:
        """With one kind of configuration set (or removed: None), unless what is there is newer."""
        others = []
        for known in self.configuration:
            if known[0] != kind:
                others.append(known)
            elif known[2] >= stamp:
                return self
        return replace(self, configuration=tuple(sorted([*others, (kind, value, stamp)], key=lambda one: one[0])))


def load(connection: sqlite3.Connection, name: str) -> BucketRow | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM buckets WHERE name = ?", (name,)).fetchone()
    return _from_row(row) if row else None


def by_number(connection: sqlite3.Connection, number: int) -> BucketRow:
    return _from_row(connection.execute(f"SELECT {_COLUMNS} FROM buckets WHERE id = ?", (number,)).fetchone())


def scan(connection: sqlite3.Connection, prefix: str = "", after: str = "") -> Iterator[BucketRow]:
    """All rows in order of names, existing buckets and others."""
    for row in connection.execute(
        f"SELECT {_COLUMNS} FROM buckets WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name",
        (after, len(prefix), prefix),
    ):
        yield _from_row(row)


def save(connection: sqlite3.Connection, row: BucketRow) -> BucketRow:
    """Insert (number 0) or update; returns the row with its number."""
    values = (row.name, row.owner, _stamp(row.created), _stamp(row.deleted), _configuration(row))
    if row.number:
        connection.execute(
            "UPDATE buckets SET name = ?, owner = ?, created = ?, deleted = ?, configuration = ? WHERE id = ?",
            (*values, row.number),
        )
        return row
    cursor = connection.execute(
        "INSERT INTO buckets (name, owner, created, deleted, configuration) VALUES (?, ?, ?, ?, ?)", values
    )
    return replace(row, number=cursor.lastrowid or 0)


def holds_live(connection: sqlite3.Connection, number: int) -> bool:
    """Whether a live version lies in the bucket, current or not."""
    return (
        connection.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (number,)).fetchone() is not None
        or connection.execute(
            "SELECT 1 FROM history WHERE bucket = ? AND kind = 'object' LIMIT 1", (number,)
        ).fetchone()
        is not None
    )


def holds_versions(connection: sqlite3.Connection, number: int) -> bool:
    """Whether S3 calls the bucket not empty: live versions or delete markers."""
    return (
        holds_live(connection, number)
        or connection.execute(
            "SELECT 1 FROM history WHERE bucket = ? AND kind = 'marker' LIMIT 1", (number,)
        ).fetchone()
        is not None
    )


def exists(connection: sqlite3.Connection, row: BucketRow | None) -> bool:
    if row is None:
        return False
    return row.created > row.deleted or holds_live(connection, row.number)


def _stamp(stamp: Stamp) -> str:
    return json.dumps(stamp)


def _configuration(row: BucketRow) -> str:
    return json.dumps(row.configuration, ensure_ascii=False)


@lru_cache(4096)
def _from_row(row: tuple[Any, ...]) -> BucketRow:
    """Decoded once for as long as the row stays as it is: every write looks at its bucket's."""
    configuration = tuple((kind, value, Stamp(*stamp)) for kind, value, stamp in json.loads(row[5]))
    return BucketRow(row[0], row[1], row[2], Stamp(*json.loads(row[3])), Stamp(*json.loads(row[4])), configuration)
