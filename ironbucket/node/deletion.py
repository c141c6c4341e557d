"""Deletions: what each means for the log. Decided in a transaction, under the log's lock.

A key is deleted by a marker where there is versioning, else by a tombstone; a named version is removed for good. An
expiration is a deletion as of the version that it saw: whatever is newer than that version, also what has not arrived
here yet, outlives it (docs/adr/lifecycle-runs-once.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ironbucket.clock import wall_ms
from ironbucket.node import locks
from ironbucket.node.body import Conditions
from ironbucket.node.buckets import existing
from ironbucket.node.commit import Transaction
from ironbucket.node.versions import check_conditions, find, replaced
from ironbucket.store import keys
from ironbucket.store.buckets import BucketRow
from ironbucket.store.model import Kind, Version
from ironbucket.store.paths import new_version
from ironbucket.wal.record import DELETE


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion did, in S3's terms."""

    version_id: str | None = None  # of the marker that was made, or of the version that was removed
    marker: bool = False  # a delete marker was made or removed


def delete(
    transaction: Transaction,
    bucket: str,
    key: str,
    version_id: str | None,
    conditions: Conditions,
    *,
    always: bool,
    bypass: bool = False,
) -> Deleted:
    """Delete a key or one version of it. `always`: record it also where there is nothing: a peer may hold something.

    Raises NoSuchBucket, NoSuchKey, PreconditionFailed, AccessDenied (a locked version).
    """
    row = existing(transaction.connection, bucket)
    state = transaction.state(row, key)
    if version_id is not None:
        found = find(state, version_id)
        check_conditions(conditions, found, key)
        if found is not None:
            remove(transaction, row, found, bypass=bypass)
        return Deleted(version_id, marker=found is not None and found.kind is Kind.DELETE_MARKER)
    met = keys.current(state)
    check_conditions(conditions, met, key)
    versioning = row.bucket().versioning
    if versioning == "Enabled":
        version = new_version()
        transaction.record(DELETE, bucket, key, attributes={"version": version, "marker": True, "versioned": True})
        return Deleted(version, marker=True)
    locks.check_overwriting(state, wall_ms())
    attributes: dict[str, Any] = {"version": new_version(), **replaced(state)}
    if versioning:
        transaction.record(DELETE, bucket, key, attributes={**attributes, "marker": True})
        return Deleted("null", marker=True)
    if met is not None or always:
        transaction.record(DELETE, bucket, key, attributes=attributes)
    return Deleted()


def remove(
    transaction: Transaction, row: BucketRow, found: Version, *, bypass: bool = False, expired: bool = False
) -> None:
    """Remove one version or delete marker for good. Raises AccessDenied when it is locked."""
    locks.check_removal(found, wall_ms(), bypass=bypass)
    if found.null:
        attributes: dict[str, Any] = {"version": new_version(), "replaced": found.version}
        if expired:
            attributes["as_of"] = [found.stamp.ms, found.stamp.logical]
    else:
        attributes = {"removes": found.version, "versioned": True}
    transaction.record(DELETE, row.name, found.key, attributes=attributes)


def expire(transaction: Transaction, row: BucketRow, state: keys.State, current: Version) -> None:
    """Delete a key because its current version has expired. Raises AccessDenied when that is locked and would go."""
    versioning = row.bucket().versioning
    if not versioning:
        remove(transaction, row, current, expired=True)
        return
    attributes: dict[str, Any] = {"version": new_version(), "marker": True, "made": wall_ms()}
    seen = current.stamp
    if versioning == "Enabled":
        attributes["versioned"] = True
    else:
        locks.check_overwriting(state, wall_ms())
        attributes |= replaced(state)
        # the null version that it replaces may have been deleted after the current version was made
        seen = max([seen, *(one.stamp for one in state if one.null and one.kind is not Kind.PENDING)])
    transaction.record(DELETE, row.name, current.key, attributes={**attributes, "as_of": [seen.ms, seen.logical]})
