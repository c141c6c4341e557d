"""Receiving: every byte in the file, every digest right, whatever the sizes of the pieces."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ironbucket import checksums
from ironbucket.errors import IncompleteBody
from ironbucket.store import receive as module
from ironbucket.store.receive import BUFFER_SIZE, receive

SIZES = [0, 1, BUFFER_SIZE - 1, BUFFER_SIZE, BUFFER_SIZE + 1, 2 * BUFFER_SIZE, 6 * BUFFER_SIZE - 1, 9 * BUFFER_SIZE + 7]


class Pieces:
    """A body that arrives in pieces of `step` bytes, and may break off."""

    def __init__(self, data: bytes, step: int, breaks_at: int | None = None) -> None:
        self._data, self._step, self._breaks_at = memoryview(data), step, breaks_at
        self._at = 0

    def readinto(self, buffer: memoryview, /) -> int:
        if self._breaks_at is not None and self._at >= self._breaks_at:
            raise IncompleteBody
        count = min(len(buffer), self._step, len(self._data) - self._at)
        buffer[:count] = self._data[self._at : self._at + count]
        self._at += count
        return count


def target(path: Path) -> Callable[[], int]:
    return lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)


def some(size: int) -> bytes:
    return (hashlib.sha512(str(size).encode()).digest() * (size // 64 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1000, 65_537, 1 << 30])
def test_what_is_received_is_what_was_sent(tmp_path: Path, size: int, step: int) -> None:
    data = some(size)
    fd, received = receive(Pieces(data, step), target(tmp_path / "file"), ["md5", "sha256", "crc32"])
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == data
    assert received.size == size
    assert received.digests["md5"] == hashlib.md5(data).digest()
    assert received.digests["sha256"] == hashlib.sha256(data).digest()
    crc = checksums.hasher("crc32")
    crc.update(data)
    assert received.digests["crc32"] == crc.digest()


@pytest.mark.parametrize("algorithms", [[], ["md5"], ["sha1"], ["crc32c", "crc64nvme"]])
def test_any_digests(tmp_path: Path, algorithms: list[str]) -> None:
    data = some(3 * BUFFER_SIZE + 1)
    fd, received = receive(Pieces(data, 1 << 20), target(tmp_path / "file"), algorithms)
    os.close(fd)
    assert set(received.digests) == set(algorithms)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("breaks_at", [0, 1, BUFFER_SIZE, 3 * BUFFER_SIZE, 7 * BUFFER_SIZE + 5])
def test_a_body_that_breaks_off(tmp_path: Path, breaks_at: int) -> None:
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(IncompleteBody):
        receive(Pieces(some(8 * BUFFER_SIZE), 4096, breaks_at), target(tmp_path / "file"), ["md5"])
    assert os.listdir("/proc/self/fd") == descriptors


@pytest.mark.parametrize("failing", ["write_all", "fdatasync", "hasher"])
def test_a_failure_on_the_way_is_raised_and_ends_every_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        if len(calls) > 1 or failing != "write_all":
            raise OSError(28, "full")

    if failing == "write_all":
        monkeypatch.setattr(module.fsutil, "write_all", fail)
    elif failing == "fdatasync":
        monkeypatch.setattr(os, "fdatasync", fail)
        monkeypatch.setattr(module, "_SYNC_EVERY", BUFFER_SIZE)
    else:

        class Broken:
            update = fail

            def digest(self) -> bytes:
                return b""

        monkeypatch.setattr(module.checksums, "hasher", lambda _: Broken())
    with pytest.raises(OSError, match="full"):
        receive(Pieces(some(8 * BUFFER_SIZE), 1 << 20), target(tmp_path / "file"), ["md5"])


def test_nothing_is_created_before_the_first_bytes(tmp_path: Path) -> None:
    with pytest.raises(IncompleteBody):
        receive(Pieces(b"x", 1, 0), target(tmp_path / "file"), ["md5"])
    assert not (tmp_path / "file").exists()


def test_buffers_are_used_again(tmp_path: Path) -> None:
    for number in range(3):
        fd, _ = receive(Pieces(some(5 * BUFFER_SIZE), 1 << 20), target(tmp_path / str(number)), ["md5"])
        os.close(fd)
    assert len(module._spare) <= module._KEPT
    assert len({id(buffer) for buffer in module._spare}) == len(module._spare)
