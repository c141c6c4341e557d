"""Entries of the index as lines, and back: what a snapshot consists of.

A line of a snapshot is the newest record of what it stands for, in the format of the log, and restores its entry
exactly: its JSON object also names the epoch, and holds what later records have changed. docs/wal-format-snapshots.md
has it all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ironbucket.clock import Stamp
from ironbucket.node.merge import Merged, join
from ironbucket.store import buckets, keys
from ironbucket.store.buckets import NEVER, BucketRow
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version
from ironbucket.wal.record import CREATE_BUCKET, DELETE, PUT, UPDATE_METADATA, InvalidRecord, Record

#: attributes of a line that say what the entry is; all others are the entry's own
_OF_THE_LINE = frozenset({"version", "versioned", "logical", "epoch", "marker", "removes", "of"})


def record_of(entry: Version) -> Record:
    """The line of an entry of a key."""
    stamp = entry.stamp
    attributes: dict[str, Any] = {"version": entry.version, "epoch": stamp.epoch}
    if not entry.null:
        attributes["versioned"] = True
    if stamp.logical:
        attributes["logical"] = stamp.logical
    operation, size, etag = DELETE, None, None
    if entry.kind is Kind.OBJECT:
        operation, size, etag = PUT, entry.size, entry.etag
    elif entry.kind is Kind.DELETE_MARKER:
        attributes["marker"] = True
    elif entry.kind is Kind.PENDING:
        operation = UPDATE_METADATA
        attributes["of"] = attributes.pop("version")
    elif not entry.null:
        attributes["removes"] = attributes.pop("version")
    attributes.update(entry.attributes)
    return Record(
        operation, stamp.node, entry.sequence, stamp.ms, entry.bucket, entry.key, size, etag, attributes, stamp.epoch
    )


def entry_of(record: Record) -> Version:
    """The entry that `record_of` made a line of. Raises InvalidRecord."""
    attributes = record.attributes
    kind = {PUT: Kind.OBJECT, UPDATE_METADATA: Kind.PENDING, DELETE: Kind.TOMBSTONE}.get(record.operation)
    if kind is Kind.TOMBSTONE and attributes.get("marker"):
        kind = Kind.DELETE_MARKER
    version = attributes.get("version") or attributes.get("removes") or attributes.get("of")
    if kind is None or record.key is None or not isinstance(version, str):
        raise InvalidRecord(f"not a line of a snapshot: {record.operation} {record.node} {record.sequence}")
    return Version(
        bucket=record.bucket,
        key=record.key,
        version=version,
        null=not attributes.get("versioned", False),
        kind=kind,
        stamp=stamp_of(record),
        size=record.size or 0,
        etag=record.etag or "",
        attributes={name: value for name, value in attributes.items() if name not in _OF_THE_LINE},
        sequence=record.sequence,
    )


def stamp_of(record: Record) -> Stamp:
    """The stamp of a line of a snapshot, which names its epoch itself."""
    return Stamp(
        record.ms, record.attributes.get("logical", 0), record.node, str(record.attributes.get("epoch", record.epoch))
    )


def record_of_bucket(row: BucketRow) -> Record:
    """The line of a bucket: its creation, and as registers its deletion and each kind of configuration."""
    stamp = row.created
    attributes: dict[str, Any] = {"owner": row.owner, "epoch": stamp.epoch}
    if stamp.logical:
        attributes["logical"] = stamp.logical
    if row.deleted != NEVER:
        attributes["deleted"] = list(row.deleted)
    if row.configuration:
        attributes["registers"] = [[kind, value, list(when)] for kind, value, when in row.configuration]
    return Record(CREATE_BUCKET, stamp.node, 0, stamp.ms, row.name, attributes=attributes, epoch=stamp.epoch)


def bucket_of(record: Record) -> BucketRow:
    """The bucket that `record_of_bucket` made a line of. Raises InvalidRecord."""
    attributes = record.attributes
    try:
        return BucketRow(
            0,
            record.bucket,
            str(attributes.get("owner", "")),
            stamp_of(record),
            Stamp(*attributes.get("deleted", NEVER)),
            tuple((kind, value, Stamp(*when)) for kind, value, when in attributes.get("registers", ())),
        )
    except (TypeError, ValueError):
        raise InvalidRecord(f"not a line of a snapshot: bucket {record.bucket}") from None


def restore_bucket(connection: sqlite3.Connection, other: BucketRow) -> BucketRow:
    """Join what another node or a snapshot knows of a bucket to what is known here: each register by its stamp."""
    row = buckets.load(connection, other.name)
    if row is None:
        return buckets.save(connection, replace(other, number=0))
    if other.created > row.created or (not row.owner and other.owner):
        row = replace(row, owner=other.owner or row.owner)
    joined = replace(row, created=max(row.created, other.created), deleted=max(row.deleted, other.deleted))
    for kind, value, stamp in other.configuration:
        joined = joined.configured(kind, value, stamp)
    return buckets.save(connection, joined)


def restore(index: Index, connection: sqlite3.Connection, row: BucketRow, entry: Version, origins: Any) -> Merged:
    """Join an entry to the state of its key. What the result frees is the caller's to note."""
    old = keys.load(index, connection, row.number, entry.bucket, entry.key)
    merged = join(old, entry)
    keys.save(connection, row.number, entry.key, old, merged.state, origins)
    return merged


def stamps(row: BucketRow) -> Iterator[Stamp]:
    """Every stamp that a bucket carries."""
    yield row.created
    yield row.deleted
    for _, _, stamp in row.configuration:
        yield stamp
