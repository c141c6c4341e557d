"""An index with one bucket, filled without a log."""

from __future__ import annotations

from pathlib import Path

from ironbucket.clock import Stamp
from ironbucket.store import buckets, keys
from ironbucket.store.buckets import BucketRow
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version

BUCKET = "photos"


def open_index(folder: Path) -> tuple[Index, int]:
    """An index and the number of its bucket."""
    index = Index(str(folder / "index.db"))
    with index.transaction() as connection:
        connection.execute("INSERT INTO streams VALUES (1, 'n', 'e', 0, '', 0, 0)")
        row = buckets.save(connection, BucketRow(0, BUCKET, "owner", Stamp(1, 0, "n", "e")))
    return index, row.number


def entry(key: str, number: int, kind: Kind = Kind.OBJECT, *, null: bool = True) -> Version:
    return Version(BUCKET, key, f"V{number:04d}", null, kind, Stamp(number, 0, "n", "e"), 1, "etag", {"type": "t"})


def store(index: Index, bucket: int, *states: tuple[Version, ...]) -> None:
    """Each state is all that is known of its key."""
    with index.transaction() as connection:
        for state in states:
            old = keys.load(index, connection, bucket, BUCKET, state[0].key)
            keys.save(connection, bucket, state[0].key, old, state, lambda node, epoch: 1)
