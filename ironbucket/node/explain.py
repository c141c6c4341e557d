"""The story of a key: what the index knows of it, what lost, and every line of the logs that names it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

from ironbucket.clock import Stamp
from ironbucket.node import heads
from ironbucket.node.heads import LogFiles
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version
from ironbucket.wal.record import DELETE, PUT, Record
from ironbucket.wal.search import Searched, find
from ironbucket.wal.segment import Segment, segments

Json = dict[str, Any]
#: called with (what is being done, how many steps are done, how many there are or 0)
Progress = Callable[[str, int, int], None]


def explain(index: Index, files: LogFiles, bucket: str, key: str, most_bytes: int, progress: Progress) -> Json:
    """All that this node can tell of a key, newest first.

    "current": the version that a GET returns, or None. "entries": all versions, delete markers and tombstones.
    "conflicts": what lost to a concurrent write, and to which. "records": lines of the logs, each with its outcome.
    "searched": bytes of the logs that were looked at, and of how many.
    """
    connection = index.reader
    row = buckets.load(connection, bucket)
    state = keys.load(index, connection, row.number, bucket, key) if row else ()
    entries = sorted((one for one in state if one.kind is not Kind.PENDING), key=lambda one: one.stamp, reverse=True)
    current = keys.current(state)
    searched = Searched()
    records = list(
        find(
            log_segments(connection, files),
            bucket,
            key,
            most_bytes,
            searched,
            lambda: progress("searching the logs", searched.done, searched.total),
        )
    )
    records.sort(key=lambda one: one.stamp, reverse=True)
    lost = conflicts(connection, bucket, key)
    for one in lost:
        one["lost_to"] = _winner(one, records, entries)
    losers = {one["version"]: one for one in lost}
    return {
        "bucket": bucket,
        "key": key,
        "current": _entry(current) if current is not None and current.kind is Kind.OBJECT else None,
        "entries": [_entry(one) for one in entries],
        "conflicts": lost,
        "records": [_record(one, records, entries, losers) for one in records],
        "searched": {"bytes": searched.done, "of": searched.total, "complete": searched.complete},
    }


def log_segments(connection: sqlite3.Connection, files: LogFiles) -> list[Segment]:
    """The segments of all logs that are kept here, the most recently written first."""
    found = [
        segment
        for head in heads.load_all(connection)
        for segment in segments(files.active_path(head.node, head.epoch), head.epoch)
    ]
    return sorted(found, key=lambda one: _written(one.path), reverse=True)


def conflicts(connection: sqlite3.Connection, bucket: str | None = None, key: str | None = None) -> list[Json]:
    """The ledger, or what it has of a bucket or a key; newest first."""
    rows = connection.execute(
        "SELECT bucket, key, version, ms, node, operation, size, etag, noticed_ms FROM conflicts"
        " WHERE (?1 IS NULL OR bucket = ?1) AND (?2 IS NULL OR key = ?2) ORDER BY ms DESC",
        (bucket, None if key is None else keys.encode_key(key)),
    )
    names = ("bucket", "key", "version", "ms", "node", "operation", "size", "etag", "noticed_ms")
    return [dict(zip(names, row, strict=True)) | {"key": keys.decode_key(row[1])} for row in rows]


def _winner(lost: Json, records: list[Record], entries: list[Version]) -> Json | None:
    """What a lost write lost to: the first write after it, by stamp, that did not know of it."""
    place = (lost["ms"], 0, lost["node"])
    later = [
        (one.stamp, one.version)
        for one in records
        if _writes_null(one) and one.stamp[:3] > place and one.version != lost["version"]
    ]
    later += [
        (one.stamp, one.version)
        for one in entries
        if one.null and one.stamp[:3] > place and one.version != lost["version"]
    ]
    if not later:
        return None
    stamp, version = min(later)
    return {"version": version, "node": stamp.node, "ms": stamp.ms}


def _writes_null(record: Record) -> bool:
    return record.operation in (PUT, DELETE) and not record.attributes.get("versioned")


def _entry(version: Version) -> Json:
    return {
        "version": version.version,
        "version_id": version.version_id,
        "kind": version.kind.value,
        **_stamped(version.stamp, version.sequence),
        "size": version.size,
        "etag": version.etag,
        "owner": version.owner,
        "attributes": dict(version.attributes),
    }


def _stamped(stamp: Stamp, sequence: int) -> Json:
    return {"node": stamp.node, "epoch": stamp.epoch, "sequence": sequence, "ms": stamp.ms, "logical": stamp.logical}


def _record(record: Record, records: list[Record], entries: list[Version], losers: dict[str, Json]) -> Json:
    return {
        "operation": record.operation,
        **_stamped(record.stamp, record.sequence),
        "version": record.version,
        "size": record.size,
        "etag": record.etag,
        "owner": record.attributes.get("owner", ""),
        "replaced": record.attributes.get("replaced", ""),
        "outcome": _outcome(record, records, entries, losers),
        "attributes": dict(record.attributes),
    }


def _outcome(record: Record, records: list[Record], entries: list[Version], losers: dict[str, Json]) -> str:
    """What became of a record, in words."""
    if record.operation not in (PUT, DELETE):
        return f"changes {record.attributes.get('kind', 'metadata')} of version {record.attributes.get('of', '')}"
    if "removes" in record.attributes:
        return f"removed version {record.attributes['removes']} for good"
    lost = losers.get(record.version)
    if lost is not None:
        winner = lost["lost_to"]
        return f"lost to {winner['version']} of {winner['node']}" if winner else "lost to a concurrent write"
    shown = [one for one in entries if one.kind is not Kind.TOMBSTONE]
    for one in entries:
        if one.version == record.version:
            return _kept(one, newest=bool(shown) and shown[0] is one)
    for later in records:
        if later.attributes.get("replaced") == record.version:
            return f"replaced by {later.version} of {later.node}"
        if later.attributes.get("removes") == record.version:
            return f"removed for good through {later.node}"
    return "replaced"


def _kept(entry: Version, *, newest: bool) -> str:
    if entry.kind is Kind.TOMBSTONE:
        return "the key is deleted" if entry.null else "removed for good"
    return "current" if newest else "an older version"


def _written(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except FileNotFoundError:
        return 0.0
