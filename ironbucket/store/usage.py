"""How much a bucket holds: a counter per bucket in the index, kept with every change of a key.

It counts every version whose bytes are kept, current or not; delete markers and uploads in progress do not count.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from ironbucket.store.model import Kind, Version

TABLE = """
CREATE TABLE IF NOT EXISTS usage (
    bucket INTEGER PRIMARY KEY, objects INTEGER NOT NULL, bytes INTEGER NOT NULL)"""

#: for an index that has been there for longer than its counters
COUNT = """
INSERT OR REPLACE INTO usage SELECT bucket, count(*), sum(size) FROM (
    SELECT bucket, size FROM objects UNION ALL
    SELECT bucket, size FROM history WHERE kind = 'object') GROUP BY bucket"""


class Usage(NamedTuple):
    objects: int  # versions
    bytes: int


def of(connection: sqlite3.Connection, number: int) -> Usage:
    """What the bucket of that row number holds."""
    row = connection.execute("SELECT objects, bytes FROM usage WHERE bucket = ?", (number,)).fetchone()
    return Usage(*row) if row else Usage(0, 0)


def change(connection: sqlite3.Connection, number: int, old: Iterable[Version], new: Iterable[Version]) -> None:
    """Count what the state of a key was and is now."""
    was, now = _amount(old), _amount(new)
    if was != now:
        connection.execute(
            "INSERT INTO usage VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET objects = objects + excluded.objects, bytes = bytes + excluded.bytes",
            (number, now.objects - was.objects, now.bytes - was.bytes),
        )


def _amount(state: Iterable[Version]) -> Usage:
    sizes = [entry.size for entry in state if entry.kind is Kind.OBJECT]
    return Usage(len(sizes), sum(sizes))
