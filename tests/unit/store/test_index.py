"""The index: transactions, errors by name, what survives."""

import errno
import sqlite3
import threading
from pathlib import Path

import pytest

from ironbucket.errors import IronBucketError, ServiceUnavailable, StorageFull
from ironbucket.store.index import Index, IndexDamaged, index_errors


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index.db"))
    with index.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES ('a', '1')")
    with pytest.raises(KeyError), index.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES ('b', '1')")
        raise KeyError
    assert index.reader.execute("SELECT name FROM meta").fetchall() == [("a",)]
    index.close()


def test_a_reader_sees_what_is_committed_only(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index.db"))
    with index.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES ('a', '1')")
        assert index.reader.execute("SELECT count(*) FROM meta").fetchone() == (0,)
    assert index.reader.execute("SELECT count(*) FROM meta").fetchone() == (1,)
    index.close()


def test_each_thread_reads_by_itself(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index.db"))
    found: list[sqlite3.Connection] = []
    thread = threading.Thread(target=lambda: found.append(index.reader))
    thread.start()
    thread.join()
    assert found[0] is not index.reader
    assert index.reader is index.reader
    index.close()


@pytest.mark.parametrize("data", [b"x" * 8192, b"SQLite format 3\0" + b"\xff" * 8176])
def test_a_file_that_is_no_index_names_the_remedy(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "index.db").write_bytes(data)
    with pytest.raises(IndexDamaged, match="ironbucket recover"):
        Index(str(tmp_path / "index.db"))


def test_another_version_of_the_index_is_named(tmp_path: Path) -> None:
    Index(str(tmp_path / "index.db")).close()
    connection = sqlite3.connect(tmp_path / "index.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(IronBucketError, match="version 99"):
        Index(str(tmp_path / "index.db"))


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_BUSY, ServiceUnavailable),
        (sqlite3.SQLITE_CANTOPEN, ServiceUnavailable),
        (sqlite3.SQLITE_IOERR, ServiceUnavailable),
        (sqlite3.SQLITE_CORRUPT, IndexDamaged),
        (sqlite3.SQLITE_NOTADB, IndexDamaged),
        (sqlite3.SQLITE_READONLY, sqlite3.OperationalError),
    ],
)
def test_failures_have_names(code: int, named: type[Exception]) -> None:
    error = sqlite3.OperationalError("broken")
    error.sqlite_errorcode = code
    with pytest.raises(named), index_errors():
        raise error


def test_a_full_disk_has_a_name() -> None:
    with pytest.raises(StorageFull), index_errors():
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(OSError, match="broken"), index_errors():
        raise OSError(errno.EIO, "broken")


def test_a_checkpoint_empties_the_index_s_own_log(tmp_path: Path) -> None:
    index = Index(str(tmp_path / "index.db"))
    with index.transaction() as connection:
        connection.executemany("INSERT INTO meta VALUES (?, ?)", [(f"k{number}", "v" * 100) for number in range(500)])
    size = (tmp_path / "index.db").stat().st_size
    index.checkpoint(beyond=1 << 30)
    assert (tmp_path / "index.db").stat().st_size == size
    index.checkpoint()
    assert (tmp_path / "index.db").stat().st_size > size
    index.close()
    index.checkpoint()
