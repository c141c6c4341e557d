"""What may be forgotten once every node has it: tombstones, deleted buckets, replaced versions that never arrived.

Forgetting is local, and safe at a settled moment (`ironbucket.node.peers.Settled`): no record that a tombstone has to
win against can arrive any more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

from ironbucket.clock import Stamp
from ironbucket.node.commit import Committer, Transaction
from ironbucket.node.peers import Settled
from ironbucket.store import buckets
from ironbucket.store.index import Index

_CHUNK = 1000

_Tombstone = tuple[int, bytes, str, int, int]  # bucket, key, version, origin, sequence


@dataclass(frozen=True, slots=True)
class Forgotten:
    tombstones: int = 0
    buckets: int = 0
    superseded: int = 0

    def __bool__(self) -> bool:
        return bool(self.tombstones or self.buckets or self.superseded)


def deleted_buckets(index: Index) -> dict[str, Stamp]:
    """The buckets of which nothing is known but that they were deleted, and when."""
    connection = index.reader
    return {
        row.name: row.deleted
        for row in buckets.scan(connection)
        if row.deleted > max(row.created, *(stamp for _, _, stamp in row.configuration), buckets.NEVER)
        and not _holds_anything(connection, row.number)
    }


def collect(
    index: Index, committer: Committer, settled: Settled, before_ms: int, deleted: Mapping[str, Stamp]
) -> Forgotten:
    """Forget what was settled, and made before `before_ms`. `deleted`: the deleted buckets as of the settled moment."""
    tombstones = 0
    rows = _tombstones(index, settled, before_ms)
    while chunk := list(islice(rows, _CHUNK)):
        committer.submit(partial(_forget_tombstones, rows=chunk))
        tombstones += len(chunk)
    old = {name: stamp for name, stamp in deleted.items() if stamp.ms < before_ms}
    forgotten = committer.submit(partial(_forget_buckets, deleted=old)) if old else 0
    limit = min(before_ms, settled.ms)
    superseded = 0
    if index.reader.execute("SELECT 1 FROM superseded WHERE noticed_ms < ? LIMIT 1", (limit,)).fetchone():
        superseded = committer.submit(
            lambda transaction: (
                transaction.connection.execute("DELETE FROM superseded WHERE noticed_ms < ?", (limit,)).rowcount
            )
        )
    return Forgotten(tombstones, forgotten, superseded)


def _tombstones(index: Index, settled: Settled, before_ms: int) -> Iterator[_Tombstone]:
    """Those that may go, read in pages, so that no reading transaction stays open over the whole index."""
    connection = index.reader
    place: tuple[int, bytes, str] = (-1, b"", "")
    while True:
        page = connection.execute(
            "SELECT bucket, key, version, origin, sequence, ms, kind FROM history"
            " WHERE (bucket, key, version) > (?, ?, ?) ORDER BY bucket, key, version LIMIT ?",
            (*place, _CHUNK),
        ).fetchall()
        for bucket, key, version, origin, sequence, ms, kind in page:
            stream = "/".join(index.origin(connection, origin))
            if kind == "tombstone" and ms < before_ms and settled.covers(stream, sequence):
                yield bucket, key, version, origin, sequence
        if len(page) < _CHUNK:
            return
        place = page[-1][:3]


def _forget_tombstones(transaction: Transaction, rows: list[_Tombstone]) -> None:
    transaction.connection.executemany(
        "DELETE FROM history WHERE bucket = ? AND key = ? AND version = ? AND origin = ? AND sequence = ?"
        " AND kind = 'tombstone'",
        rows,
    )


def _forget_buckets(transaction: Transaction, deleted: Mapping[str, Stamp]) -> int:
    connection, count = transaction.connection, 0
    for name, stamp in deleted.items():
        row = buckets.load(connection, name)
        if row and row.deleted == stamp and row.created < stamp and not _holds_anything(connection, row.number):
            connection.execute("DELETE FROM buckets WHERE id = ?", (row.number,))
            connection.execute("DELETE FROM usage WHERE bucket = ?", (row.number,))
            count += 1
    return count


def _holds_anything(connection: sqlite3.Connection, number: int) -> bool:
    return any(
        connection.execute(f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1", (number,)).fetchone()  # noqa: S608
        for table in ("objects", "history")
    )
