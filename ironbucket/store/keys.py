"""Rows of the tables `objects` and `history`: the state of one key, read and written as a whole.

The current live version of a key is in `objects`; all else that is known of it is in `history`. Which entry
is current follows from the entries alone (`current`), so the two tables cannot disagree.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from ironbucket.clock import Stamp
from ironbucket.store import usage
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version

State = tuple[Version, ...]

_OBJECT = "version, is_null, ms, logical, origin, sequence, size, etag, attributes"
_HISTORY = _OBJECT + ", kind"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def current(state: Iterable[Version]) -> Version | None:
    """The newest live version or delete marker."""
    return max(
        (one for one in state if one.kind in (Kind.OBJECT, Kind.DELETE_MARKER)), key=lambda one: one.stamp, default=None
    )


def encode_key(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def decode_key(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def get(index: Index, connection: sqlite3.Connection, bucket: str, key: str) -> tuple[Version, bool] | None:
    """The current live version of a key, and whether its bucket has any configuration: one look-up."""
    row = connection.execute(
        "SELECT o.version, o.is_null, o.ms, o.logical, o.origin, o.sequence, o.size, o.etag, o.attributes,"
        " b.configuration <> '[]' FROM buckets b JOIN objects o ON o.bucket = b.id AND o.key = ? WHERE b.name = ?",
        (encode_key(key), bucket),
    ).fetchone()
    return (to_version(index, connection, bucket, key, row, Kind.OBJECT), row[9] != 0) if row else None


def load(index: Index, connection: sqlite3.Connection, number: int, bucket: str, key: str) -> State:
    """All entries of a key, in no particular order."""
    name = encode_key(key)
    entries = [
        to_version(index, connection, bucket, key, row, Kind(row[9]), latest=False)
        for row in connection.execute(f"SELECT {_HISTORY} FROM history WHERE bucket = ? AND key = ?", (number, name))
    ]
    row = connection.execute(f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND key = ?", (number, name)).fetchone()
    if row:
        entries.append(to_version(index, connection, bucket, key, row, Kind.OBJECT))
    return tuple(entries)


def save(connection: sqlite3.Connection, number: int, key: str, old: State, new: State, origins: Any) -> None:
    """Turn the rows of `old` into those of `new`. `origins(node, epoch)` numbers a stream."""
    name = encode_key(key)
    was, now = _live(old), _live(new)
    if now is not None and now != was:
        connection.execute(
            f"INSERT OR REPLACE INTO objects (bucket, key, {_OBJECT}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (number, name, *_values(now, origins)),
        )
    elif now is None and was is not None:
        connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (number, name))
    before = {one.version: one for one in old if one is not was}
    after = {one.version: one for one in new if one is not now}
    usage.change(connection, number, old, new)
    for version in before.keys() - after.keys():
        connection.execute("DELETE FROM history WHERE bucket = ? AND key = ? AND version = ?", (number, name, version))
    for version, entry in after.items():
        if before.get(version) != entry:
            connection.execute(
                f"INSERT OR REPLACE INTO history (bucket, key, {_HISTORY}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (number, name, *_values(entry, origins), entry.kind.value),
            )


def to_version(
    index: Index, connection: sqlite3.Connection, bucket: str, key: str, row: Any, kind: Kind, *, latest: bool = True
) -> Version:
    """A row of either table as a value."""
    version, null, ms, logical, origin, sequence, size, etag, attributes = row[:9]
    node, epoch = index.origin(connection, origin)
    return Version(
        bucket,
        key,
        version,
        null != 0,
        kind,
        Stamp(ms, logical, node, epoch),
        size,
        etag,
        json.loads(attributes),
        latest,
        sequence,
    )


def _live(state: State) -> Version | None:
    newest = current(state)
    return newest if newest is not None and newest.kind is Kind.OBJECT else None


def _values(entry: Version, origins: Any) -> tuple[Any, ...]:
    stamp = entry.stamp
    return (
        entry.version,
        int(entry.null),
        stamp.ms,
        stamp.logical,
        origins(stamp.node, stamp.epoch),
        entry.sequence,
        entry.size,
        entry.etag,
        _encode(entry.attributes),
    )
