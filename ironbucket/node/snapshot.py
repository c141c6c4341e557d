"""Taking a snapshot of a node, and making the index again from one where the logs no longer begin at their beginning.

One read transaction of the index gives entries and positions that belong together; writers go on meanwhile.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping

from ironbucket.clock import wall_ms
from ironbucket.node import entries, heads
from ironbucket.node.apply import advance_clock, stream_number
from ironbucket.node.heads import Head, LogFiles
from ironbucket.store import buckets, keys
from ironbucket.store.buckets import BucketRow
from ironbucket.store.index import Index, index_errors
from ironbucket.store.scan import states
from ironbucket.wal import snapshot
from ironbucket.wal.record import CREATE_BUCKET, Record
from ironbucket.wal.segment import read_header, segments
from ironbucket.wal.snapshot import Note, SnapshotHeader

log = logging.getLogger(__name__)

_CHUNK = 2000  # lines restored in one transaction of the index
_LEDGERS = {
    "conflict": ("conflicts", "bucket, key, version, ms, node, operation, size, etag, noticed_ms"),
    "superseded": ("superseded", "bucket, key, version, noticed_ms"),
}


def take(index: Index, directory: str, node: str) -> str:
    """Write a snapshot of the whole node into `directory`; returns its path. Older ones stay. Raises OSError."""
    connection = index.reader
    with index_errors():
        connection.execute("BEGIN")
        try:
            header = header_of(connection, node)
            return snapshot.write(directory, header, _lines(index, connection))
        finally:
            connection.execute("ROLLBACK")


def header_of(connection: sqlite3.Connection, node: str) -> SnapshotHeader:
    """The position at which a transaction of the index sees the node."""
    ms, logical = connection.execute("SELECT ms, logical FROM clock").fetchone()
    vector = {
        f"{head.node}/{head.epoch}": (head.sequence, head.chain) for head in heads.load_all(connection) if head.sequence
    }
    return SnapshotHeader(node, wall_ms(), (ms, logical), vector)


def _lines(index: Index, connection: sqlite3.Connection) -> Iterator[Record | Note]:
    for row in buckets.scan(connection):
        yield entries.record_of_bucket(row)
        for _, state in states(index, connection, row.number, row.name):
            for entry in state:
                yield entries.record_of(entry)
    for name, (table, columns) in _LEDGERS.items():
        for values in connection.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 - the names above
            yield Note(name, [keys.decode_key(one) if isinstance(one, bytes) else one for one in values])


def covered(directory: str) -> dict[str, int]:
    """How far the newest snapshot goes: "node/epoch" -> sequence. {} without one. Raises LogDamaged."""
    newest = next(iter(snapshot.stored(directory)), None)
    if newest is None:
        return {}
    return {stream: sequence for stream, (sequence, _) in snapshot.read_header(newest).vector.items()}


def missing_before(active: str, epoch: str) -> int:
    """The records of a stream that its log no longer holds: those up to this sequence; 0 when it holds the first."""
    files = segments(active, epoch)
    if not files:
        return 0
    header, _ = read_header(files[0].path)
    return 0 if header.begins else header.first - 1


def restore(index: Index, path: str, settle: Callable[[str, str, str], object], progress: Callable[[int], None]) -> int:
    """Fill an empty index from a snapshot; returns the number of its lines. Raises LogDamaged.

    `settle(bucket, key, version)` gives a staged payload its name. The positions are set last: an index that was filled
    in part says that nothing has been applied.
    """
    header = snapshot.read_header(path)
    lines = snapshot.read(path)
    count = 0
    rows: dict[str, BucketRow] = {}
    while True:
        with index.transaction() as connection:
            done = 0
            for item in lines:
                _restore(index, connection, rows, item, settle)
                done += 1
                if done == _CHUNK:
                    break
            if done < _CHUNK:
                advance_clock(connection, (header.clock[0], header.clock[1]))
                for stream, (sequence, chain) in header.vector.items():
                    set_position(connection, stream, sequence, chain)
        count += done
        progress(count)
        if done < _CHUNK:
            return count


def _restore(
    index: Index,
    connection: sqlite3.Connection,
    rows: dict[str, BucketRow],
    item: Record | Note,
    settle: Callable[[str, str, str], object],
) -> None:
    if isinstance(item, Note):
        table, columns = _LEDGERS[item.name]
        values = [
            keys.encode_key(v) if name == "key" else v for name, v in zip(columns.split(", "), item.values, strict=True)
        ]
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608 - as above
        return
    if item.operation == CREATE_BUCKET:
        rows.clear()
        rows[item.bucket] = entries.restore_bucket(connection, entries.bucket_of(item))
        return
    entry = entries.entry_of(item)
    entries.restore(
        index, connection, rows[item.bucket], entry, lambda node, epoch: stream_number(connection, node, epoch)
    )
    if item.size is not None:
        settle(entry.bucket, entry.key, entry.version)


def set_position(connection: sqlite3.Connection, stream: str, sequence: int, chain: str) -> None:
    """Note that a log is applied up to `sequence`, whatever of it lies here."""
    node, _, epoch = stream.partition("/")
    number = stream_number(connection, node, epoch)
    connection.execute(
        "UPDATE streams SET sequence = ?, chain = ?, segment = 0, offset = 0 WHERE id = ?", (sequence, chain, number)
    )


def is_complete(files: LogFiles, applied: Iterable[Head], reach: Mapping[str, int]) -> bool:
    """Whether a snapshot that reaches that far and the logs together would make the index again. Raises LogDamaged."""
    for head in applied:
        path = files.active_path(head.node, head.epoch)
        lacking = missing_before(path, head.epoch) if segments(path, head.epoch) else head.sequence
        if lacking > reach.get(f"{head.node}/{head.epoch}", 0):
            return False
    return True


def drop_older(directory: str) -> list[str]:
    """Remove all snapshots but the newest; returns what was removed."""
    old = snapshot.stored(directory)[1:]
    for path in old:
        os.unlink(path)
    return old
