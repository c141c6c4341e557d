"""Digests of what the index says: of one key, of a range of keys, of a bucket. Equal on nodes that agree.

They cover what clients can see of a key: its live versions and delete markers, with stamps and all metadata.
Tombstones are left out: nodes drop them at different times. `state` covers those too, and so tells whether a key has
changed between two looks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ironbucket.store import buckets, keys
from ironbucket.store.buckets import BucketRow
from ironbucket.store.index import Index, index_errors
from ironbucket.store.model import Version

LENGTH = 32  # hexadecimal digits of a digest: SHA-256, cut to 128 bits
NOTHING = "0" * LENGTH  # of a key, a bucket or a range that is empty

_SHOWN = (
    "SELECT key, version, is_null, 'object', ms, logical, origin, size, etag, attributes FROM objects WHERE {place}"
    " UNION ALL SELECT key, version, is_null, kind, ms, logical, origin, size, etag, attributes FROM history"
    " WHERE {place} AND kind IN ('object', 'marker') ORDER BY 1, 2"
)
_ENTRIES = _SHOWN.format(place="bucket = ?1 AND key > ?2 AND key <= ?3")
_ENTRIES_OF_ONE = _SHOWN.format(place="bucket = ?1 AND key = ?2")
_LAST_KEY = b"\xff"  # after every key
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@contextlib.contextmanager
def snapshot(index: Index) -> Iterator[sqlite3.Connection]:
    """This thread's connection, for as long as one look at the index lasts: all that is read belongs together."""
    connection = index.reader
    with index_errors():
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


def of_keys(
    index: Index, connection: sqlite3.Connection, bucket: str, after: str = "", until: str | None = None
) -> Iterator[tuple[str, str]]:
    """(key, digest) of the keys in (after, until] that have something to show, in byte order."""
    row = buckets.load(connection, bucket)
    if row is None:
        return
    last = _LAST_KEY if until is None else keys.encode_key(until)
    rows = connection.execute(_ENTRIES, (row.number, keys.encode_key(after), last))
    for key, entries in groupby(rows, key=lambda one: bytes(one[0])):
        digest = hashlib.sha256()
        for entry in entries:
            digest.update(_entry(index, connection, entry))
        yield keys.decode_key(key), digest.hexdigest()[:LENGTH]


def of_key(index: Index, connection: sqlite3.Connection, bucket: str, key: str) -> str:
    """The digest of one key."""
    row = buckets.load(connection, bucket)
    if row is None:
        return NOTHING
    digest, found = hashlib.sha256(), False
    for entry in connection.execute(_ENTRIES_OF_ONE, (row.number, keys.encode_key(key))):
        digest.update(_entry(index, connection, entry))
        found = True
    return digest.hexdigest()[:LENGTH] if found else NOTHING


class Fold:
    """The digest of a range, made of those of its keys in order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.count = 0

    def add(self, key: str, digest: str) -> None:
        self._digest.update(f"{len(key)}:".encode() + keys.encode_key(key) + digest.encode())
        self.count += 1

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()[:LENGTH] if self.count else NOTHING


def of_range(
    index: Index, connection: sqlite3.Connection, bucket: str, after: str, until: str | None
) -> tuple[str, int]:
    """The digest of the keys in (after, until], and how many there are."""
    fold = Fold()
    for key, digest in of_keys(index, connection, bucket, after, until):
        fold.add(key, digest)
    return fold.digest, fold.count


def of_bucket(connection: sqlite3.Connection, row: BucketRow | None) -> str:
    """The digest of a bucket and its configuration, without its keys; NOTHING when there is no such bucket."""
    if row is None or not buckets.exists(connection, row):
        return NOTHING
    return _hash([row.owner, row.created, row.deleted, row.configuration])


def state(index: Index, connection: sqlite3.Connection, bucket: str, key: str) -> str:
    """The digest of all that is known of a key, tombstones included."""
    row = buckets.load(connection, bucket)
    known = keys.load(index, connection, row.number, bucket, key) if row else ()
    entries = sorted(known, key=lambda one: one.version)
    return _hash(
        [[one.version, one.null, one.kind.value, one.stamp, one.size, one.etag, one.attributes] for one in entries]
    )


def entries(index: Index, connection: sqlite3.Connection, bucket: str, key: str) -> list[Version]:
    """What the digest of a key covers, newest first."""
    row = buckets.load(connection, bucket)
    known = keys.load(index, connection, row.number, bucket, key) if row else ()
    shown = [one for one in known if one.kind.value in ("object", "marker")]
    return sorted(shown, key=lambda one: one.stamp, reverse=True)


def _entry(index: Index, connection: sqlite3.Connection, row: Any) -> bytes:
    _, version, null, kind, ms, logical, origin, size, etag, attributes = row
    node, epoch = index.origin(connection, origin)
    # the text of the attributes is made anew: updates of metadata leave it in the order in which they arrived
    text = _canonical([version, null, kind, ms, logical, node, epoch, size, etag, json.loads(attributes)])
    return hashlib.sha256(text.encode()).digest()


def _hash(value: Any) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:LENGTH]
