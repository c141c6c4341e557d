"""Durable steps on the file system."""

import errno
import os
import threading
from pathlib import Path

import pytest

from ironbucket import fsutil
from ironbucket.errors import ServiceUnavailable, StorageFull


@pytest.mark.parametrize(
    ("number", "named"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EMFILE, ServiceUnavailable),
        (errno.ENFILE, ServiceUnavailable),
        (errno.EIO, OSError),
    ],
)
def test_what_passes_by_itself_has_a_name(number: int, named: type[Exception]) -> None:
    with pytest.raises(named), fsutil.storage_errors():
        raise OSError(number, "")


def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def write(fd: int, view: memoryview) -> int:
        written.extend(view[:3])
        return min(3, len(view))

    monkeypatch.setattr(os, "write", write)
    fsutil.write_all(0, b"0123456789")
    assert written == b"0123456789"


def test_directories_are_made_with_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsutil.make_directory(str(tmp_path / "a" / "b"))
    fsutil.make_directory(str(tmp_path / "a" / "b"))
    monkeypatch.chdir(tmp_path)
    fsutil.make_directory("relative/b")
    assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "relative" / "b").is_dir()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fsutil.replace_file(str(path), b"one")
    fsutil.replace_file(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_that_fails_leaves_the_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    for name in ("fsync", "rename", "write"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
            patch.setattr(os, name, fail)
            fsutil.replace_file(str(path), b"two")
        assert path.read_bytes() == b"one"
        assert list(tmp_path.iterdir()) == [path]


def test_threads_replace_one_file_side_by_side(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def replace(data: bytes) -> None:
        try:
            for _ in range(50):
                fsutil.replace_file(str(tmp_path / "file"), data)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=replace, args=(letter * 5000,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set((tmp_path / "file").read_bytes())) == 1


def test_read_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as source:
        assert fsutil.read_at(source.fileno(), 2, 3) == b"234"
        assert fsutil.read_at(source.fileno(), 8, 5) == b"89"
        assert fsutil.read_at(source.fileno(), 0, 0) == b""
