"""Pages of listings: a page costs what it shows, not what the bucket holds.

Keys come in UTF-8 byte order from the index's own tree; a common prefix is skipped by a seek past it, not by a scan
through it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from ironbucket.store.index import Index
from ironbucket.store.keys import current, decode_key, encode_key, to_version
from ironbucket.store.model import CommonPrefix, Kind, Page, Version

#: rows stepped over one by one before a seek is the cheaper way out of a common prefix
_STEPS = 8

Rows = Iterator[tuple[Any, ...]]


def past(prefix: bytes) -> bytes:
    """The least key greater than all keys that begin with `prefix` (UTF-8 has no byte 0xFF)."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def common_prefix(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """What S3 rolls `key` up into: up to and including the first delimiter after `prefix`."""
    if not delimiter:
        return None
    found = key.find(delimiter, len(prefix))
    return key[: found + len(delimiter)] if found >= 0 else None


def start_key(prefix: bytes, delimiter: bytes, after: bytes) -> bytes:
    """The least key that may come after `after`, which is a key or a common prefix.

    A page shows what is greater than `after`; the common prefix that `after` lies in is not.
    """
    if after < prefix or not after:
        return prefix
    within = common_prefix(after, prefix, delimiter) if after.startswith(prefix) else None
    return past(within) if within is not None else after + b"\0"


def list_objects(
    index: Index,
    connection: sqlite3.Connection,
    number: int,
    bucket: str,
    prefix: str,
    delimiter: str,
    after: str,
    limit: int,
) -> Page:
    """Current live versions. `limit` counts keys and common prefixes together."""
    low, separator = encode_key(prefix), encode_key(delimiter)
    begin: bytes | None = start_key(low, separator, encode_key(after))
    entries: list[Version | CommonPrefix] = []
    while begin is not None:
        cursor = _object_rows(connection, number, begin, low)
        begin = None
        for row in cursor:
            if len(entries) == limit:
                return _page(entries)
            rolled = common_prefix(row[0], low, separator)
            if rolled is not None:
                entries.append(CommonPrefix(decode_key(rolled)))
                begin = past(rolled)
                break
            entries.append(to_version(index, connection, bucket, decode_key(row[0]), row[1:], Kind.OBJECT))
        cursor.close()  # the prepared statement is free for the next seek
    return Page(entries, truncated=False, next_after="")


def list_versions(
    index: Index,
    connection: sqlite3.Connection,
    number: int,
    bucket: str,
    prefix: str,
    delimiter: str,
    after: str,
    after_version: str,
    limit: int,
) -> Page:
    """All live versions and delete markers; of one key the newest first. `after_version` continues within `after`."""
    low, separator, marker = encode_key(prefix), encode_key(delimiter), encode_key(after)
    start = max(marker, low) if after_version else start_key(low, separator, marker)

    def rows(begin: bytes) -> Rows:
        history = _history_rows(connection, number, begin, low)
        return merge(_object_rows(connection, number, begin, low), history, key=itemgetter(0))

    entries: list[Version | CommonPrefix] = []
    for rolled, group in _walk(rows, start, low, separator):
        if rolled is not None:
            if len(entries) == limit:
                return _page(entries)
            entries.append(CommonPrefix(decode_key(rolled)))
            continue
        key = decode_key(group[0][0])
        versions = _ordered(index, connection, bucket, key, group)
        if key == after and after_version:
            versions = _following(versions, after_version)
        for version in versions:
            if len(entries) == limit:
                return _page(entries)
            entries.append(version)
    return Page(entries, truncated=False, next_after="")


def _walk(
    rows: Any, start: bytes, prefix: bytes, delimiter: bytes
) -> Iterator[tuple[bytes | None, list[tuple[Any, ...]]]]:
    """(common prefix, []) or (None, the rows of one key), in order."""
    begin: bytes | None = start
    while begin is not None:
        cursor: Iterator[Any] = groupby(rows(begin), key=itemgetter(0))
        begin = None
        rolled, steps = None, 0
        for key, group in cursor:
            if rolled is not None and key.startswith(rolled):
                steps += 1
                if steps > _STEPS:
                    begin = past(rolled)
                    cursor = iter(())  # frees the prepared statements for the next seek
                    break
                continue
            rolled, steps = common_prefix(key, prefix, delimiter), 0
            yield (rolled, []) if rolled is not None else (None, list(group))


def _object_rows(connection: sqlite3.Connection, number: int, begin: bytes, prefix: bytes) -> sqlite3.Cursor:
    return connection.execute(
        "SELECT key, version, is_null, ms, logical, origin, sequence, size, etag, attributes, 'object' FROM objects"
        " WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key",
        (number, begin, past(prefix) if prefix else b"\xff"),
    )


def _history_rows(connection: sqlite3.Connection, number: int, begin: bytes, prefix: bytes) -> Rows:
    return connection.execute(
        "SELECT key, version, is_null, ms, logical, origin, sequence, size, etag, attributes, kind FROM history"
        " WHERE bucket = ? AND key >= ? AND key < ? AND kind IN ('object', 'marker') ORDER BY key",
        (number, begin, past(prefix) if prefix else b"\xff"),
    )


def _ordered(
    index: Index, connection: sqlite3.Connection, bucket: str, key: str, rows: list[tuple[Any, ...]]
) -> list[Version]:
    entries = [to_version(index, connection, bucket, key, row[1:], Kind(row[10]), latest=False) for row in rows]
    newest = current(entries)
    entries.sort(key=lambda one: one.stamp, reverse=True)
    return [replace(one, is_latest=True) if one is newest else one for one in entries]


def _following(versions: list[Version], after_version: str) -> list[Version]:
    for place, version in enumerate(versions):
        if after_version in (version.version, version.version_id):
            return versions[place + 1 :]
    # removed since the page that ended with it: version ids sort by age
    return [version for version in versions if version.version < after_version]


def _page(entries: list[Version | CommonPrefix]) -> Page:
    if not entries:  # max-keys=0: nothing was asked for, nothing is left out
        return Page(entries, truncated=False, next_after="")
    last = entries[-1]
    if isinstance(last, CommonPrefix):
        return Page(entries, truncated=True, next_after=last.prefix)
    return Page(entries, truncated=True, next_after=last.key, next_version=last.version_id)
