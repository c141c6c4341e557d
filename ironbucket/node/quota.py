"""Quotas: how many bytes and versions a bucket may hold. Decided at the commit; what a peer accepted is not refused.

A quota is a configuration of the bucket, so every node has it: {"bytes": N, "objects": N}, each of them or one. Two
nodes that accept writes at the same moment may together exceed it, by what they had not yet told each other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from ironbucket.errors import QuotaExceeded
from ironbucket.store import buckets, usage
from ironbucket.store.buckets import BucketRow
from ironbucket.store.keys import State
from ironbucket.store.model import Bucket, Kind
from ironbucket.store.usage import Usage

KIND = "quota"


def check(connection: sqlite3.Connection, row: BucketRow, state: State, size: int, *, adds: bool) -> None:
    """Raise QuotaExceeded when a version of `size` bytes is too much. `adds`: it replaces none."""
    if not row.configuration or not (quota := row.bucket().configuration.get(KIND)):
        return
    held = usage.of(connection, row.number)
    replaced = [] if adds else [one for one in state if one.null and one.kind is Kind.OBJECT]
    more = Usage(1 - len(replaced), size - sum(one.size for one in replaced))
    _compare(row.name, quota, held, more)


def check_room(connection: sqlite3.Connection, bucket: Bucket, size: int) -> None:
    """Raise QuotaExceeded, before its bytes arrive, for a version that alone is larger than the quota."""
    quota = bucket.configuration.get(KIND)
    if quota and size > quota.get("bytes", size):
        row = buckets.load(connection, bucket.name)
        held = usage.of(connection, row.number) if row else Usage(0, 0)
        raise _exceeded(bucket.name, "bytes", quota["bytes"], held.bytes)


def _compare(name: str, quota: Mapping[str, Any], held: Usage, more: Usage) -> None:
    for kind, there, added in (("bytes", held.bytes, more.bytes), ("objects", held.objects, more.objects)):
        if added > 0 and there + added > quota.get(kind, there + added):
            raise _exceeded(name, kind, quota[kind], there)


def _exceeded(name: str, kind: str, quota: int, held: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"The bucket has reached its quota: it may hold {quota} {kind} and holds {held}.", BucketName=name
    )
