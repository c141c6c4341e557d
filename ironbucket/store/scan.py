"""All that is known of the keys of a bucket, key by key in byte order: for snapshots and for comparing nodes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from heapq import merge
from itertools import groupby

from ironbucket.store.index import Index
from ironbucket.store.keys import State, decode_key, to_version
from ironbucket.store.model import Kind

_OBJECT = "key, version, is_null, ms, logical, origin, sequence, size, etag, attributes"


def states(
    index: Index,
    connection: sqlite3.Connection,
    number: int,
    bucket: str,
    after: bytes = b"",
    upto: bytes | None = None,
) -> Iterator[tuple[bytes, State]]:
    """(key, its entries) for every key in (after, upto]; with None to the last key.

    Read in one transaction of `connection` for a view at one position of the logs.
    """
    until, values = ("", (number, after)) if upto is None else (" AND key <= ?", (number, after, upto))
    found = [
        connection.execute(
            f"SELECT {_OBJECT}, 'object' FROM objects WHERE bucket = ? AND key > ?{until} ORDER BY key", values
        ),
        connection.execute(
            f"SELECT {_OBJECT}, kind FROM history WHERE bucket = ? AND key > ?{until} ORDER BY key, version", values
        ),
    ]
    for key, rows in groupby(merge(*found, key=lambda row: row[0]), key=lambda row: row[0]):
        name = decode_key(key)
        yield (
            key,
            tuple(to_version(index, connection, bucket, name, row[1:], Kind(row[10]), latest=False) for row in rows),
        )
