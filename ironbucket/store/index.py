"""The index: what the logs amount to, in an ordered store that can be thrown away and rebuilt.

SQLite in WAL mode with synchronous=NORMAL: after a power loss it is whole and may lack its newest commits, which the
log replays from the position that the same commit recorded (table `streams`). Readers never wait for the writer.

    buckets    name, creation, deletion, configuration
    objects    the current version of each key that has one: what a listing shows
    history    everything else that is known of a key: older versions, delete markers, tombstones
    streams    how far each log has been applied
    conflicts  writes that lost to a concurrent one;  superseded: replaced versions that have not arrived yet
    garbage    payloads that nothing refers to any more, and since when
    usage      how much each bucket holds

Without a log (WAL_ENABLED=false) the index is the only record, and synchronous=FULL.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator

from ironbucket import failpoints, fsutil
from ironbucket.errors import IronBucketError, ServiceUnavailable, StorageFull
from ironbucket.store import usage

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL, epoch TEXT NOT NULL,
    sequence INTEGER NOT NULL, chain TEXT NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
    UNIQUE (node, epoch));
CREATE TABLE IF NOT EXISTS clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), ms INTEGER NOT NULL, logical INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS buckets (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    created TEXT NOT NULL, deleted TEXT NOT NULL, configuration TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    bucket INTEGER NOT NULL, key BLOB NOT NULL, version TEXT NOT NULL, is_null INTEGER NOT NULL,
    ms INTEGER NOT NULL, logical INTEGER NOT NULL, origin INTEGER NOT NULL, sequence INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    bucket INTEGER NOT NULL, key BLOB NOT NULL, version TEXT NOT NULL, is_null INTEGER NOT NULL, kind TEXT NOT NULL,
    ms INTEGER NOT NULL, logical INTEGER NOT NULL, origin INTEGER NOT NULL, sequence INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conflicts (
    bucket TEXT NOT NULL, key BLOB NOT NULL, version TEXT NOT NULL, ms INTEGER NOT NULL, node TEXT NOT NULL,
    operation TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, noticed_ms INTEGER NOT NULL,
    PRIMARY KEY (bucket, key, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS superseded (
    bucket TEXT NOT NULL, key BLOB NOT NULL, version TEXT NOT NULL, noticed_ms INTEGER NOT NULL,
    PRIMARY KEY (bucket, key, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS garbage (
    path TEXT PRIMARY KEY, since_ms INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS garbage_age ON garbage (since_ms);
INSERT OR IGNORE INTO clock VALUES (1, 0, 0);
"""


class Index:
    """One process's access to the index: a connection per reading thread, one for the writer."""

    def __init__(self, path: str, *, durable: bool = False) -> None:
        """Opens, and creates if need be. With `durable` each commit is on disk (there is no log to replay)."""
        self.path = path
        self._synchronous = "FULL" if durable else "NORMAL"
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        fsutil.make_directory(os.path.dirname(path))
        self._origins: dict[int, tuple[str, str]] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        try:
            with index_errors():
                self.writer = self._connect()
                self._prepare(self.writer)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=30, cached_statements=256
        )
        with self._guard:
            self._connections.append(connection)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint=0")  # `checkpoint` does it, outside the log's lock
        connection.execute("PRAGMA cache_size=-8192")
        connection.execute("PRAGMA mmap_size=0")
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 1:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(usage.TABLE)
            connection.execute(usage.COUNT)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("COMMIT")
        elif version not in (0, SCHEMA_VERSION):
            raise IronBucketError(
                f"{self.path}: index of version {version}, this program reads {SCHEMA_VERSION}. "
                "Run 'ironbucket recover' to rebuild it from the log."
            )
        if version == 0:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(usage.TABLE)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("COMMIT")

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        try:
            return self._local.connection  # type: ignore[no-any-return]
        except AttributeError:
            with index_errors():
                self._local.connection = connection = self._connect()
            return connection

    def origin(self, connection: sqlite3.Connection, number: int) -> tuple[str, str]:
        """(node, epoch) of a row's `origin`."""
        try:
            return self._origins[number]
        except KeyError:
            row = connection.execute("SELECT node, epoch FROM streams WHERE id = ?", (number,)).fetchone()
            self._origins[number] = (row[0], row[1])
            return self._origins[number]

    def number(self, connection: sqlite3.Connection, node: str, epoch: str) -> int:
        """The inverse of `origin`; 0 for a stream that has no row yet."""
        known = self._numbers.get((node, epoch))
        if known is None:
            row = connection.execute("SELECT id FROM streams WHERE node = ? AND epoch = ?", (node, epoch)).fetchone()
            if row is None:
                return 0
            known = self._numbers[node, epoch] = int(row[0])
        return known

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """The writer's transaction; the caller holds the log's lock. Commits at the end, rolls back on any error.

        With `durable` it, and all before it, is on disk at the end: for what no log could replay.
        """
        with index_errors(), self._synchronised(durable):
            self.writer.execute("BEGIN IMMEDIATE")
            try:
                yield self.writer
                failpoints.hit("index-commit")
                self.writer.execute("COMMIT")
            except BaseException:
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
                self._origins.clear()
                self._numbers.clear()
                raise

    @contextlib.contextmanager
    def _synchronised(self, durable: bool) -> Iterator[None]:
        if durable:
            self.writer.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            if durable:
                self.writer.execute(f"PRAGMA synchronous={self._synchronous}")

    def checkpoint(self, beyond: int = 0) -> None:
        """Move what is committed from SQLite's own log into the index file, if that is longer than `beyond` bytes.

        Readers and the writer go on.
        """
        try:
            if os.path.getsize(self.path + "-wal") <= beyond:
                return
        except FileNotFoundError:
            return
        with index_errors():
            self.reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()


@contextlib.contextmanager
def index_errors() -> Iterator[None]:
    """Name SQLite's failures: a full disk, no descriptors left, or a damaged index and its remedy."""
    try:
        yield
    except OSError as error:
        named = fsutil.named_error(error)
        if named is None:
            raise
        raise named from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) or 0
        if code & 0xFF == sqlite3.SQLITE_FULL:
            raise StorageFull from error
        if code & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY):
            raise ServiceUnavailable(f"The index cannot be opened just now ({error}). Try again.") from error
        if code & 0xFF == sqlite3.SQLITE_IOERR:
            raise ServiceUnavailable(f"The index cannot be read or written just now ({error}).") from error
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise IndexDamaged(
                f"The index is damaged ({error}). Run 'ironbucket recover' to rebuild it from the log."
            ) from error
        raise


class IndexDamaged(IronBucketError):
    """The index is damaged. Run 'ironbucket recover' to rebuild it from the log."""

    exit_status = 3
