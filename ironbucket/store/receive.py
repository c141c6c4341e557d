"""From a body to a file: hash beside reading, in constant memory.

A body that fits one buffer is hashed in line and written once. A longer one goes through a ring of buffers:
this thread receives and writes while one thread computes MD5 and another whatever else was asked for; a third
keeps the disk busy, so that the final sync has little left to do. All four release the GIL for most of the time.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ironbucket import checksums, fsutil

BUFFER_SIZE = 256 * 1024
_RING = 4
_SYNC_EVERY = 16 * 1024 * 1024
_KEPT = 32

_spare: list[bytearray] = []


class Source(Protocol):
    """Where bytes come from: 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived: bytes, and the digest by algorithm (md5, sha256, crc32, ...)."""

    size: int
    digests: Mapping[str, bytes]


def receive(source: Source, create: Callable[[], int], algorithms: Iterable[str]) -> tuple[int, Received]:
    """Read `source` to its end into the file that `create` opens; returns its descriptor, not yet synced.

    The file is created once the first bytes are here. Raises what `source` raises, and OSError; the caller removes
    the file.
    """
    hashers = {name: checksums.hasher(name) for name in algorithms}
    buffer = _borrow()
    try:
        view = memoryview(buffer)
        count = _fill(source, view)
        fd = create()
        try:
            if count < BUFFER_SIZE:
                for hasher in hashers.values():
                    hasher.update(view[:count])
                fsutil.write_all(fd, view[:count])
                size = count
            else:
                size = _Pipeline(source, fd, hashers).run(buffer)
        except BaseException:
            os.close(fd)
            raise
    finally:
        view.release()
        _give_back(buffer)
    return fd, Received(size, {name: hasher.digest() for name, hasher in hashers.items()})


def _fill(source: Source, view: memoryview) -> int:
    """Fill the buffer; fewer bytes only at the end."""
    total = 0
    while total < len(view):
        count = source.readinto(view[total:])
        if not count:
            break
        total += count
    return total


def _borrow() -> bytearray:
    try:
        return _spare.pop()
    except IndexError:
        return bytearray(BUFFER_SIZE)


def _give_back(buffer: bytearray) -> None:
    if len(_spare) < _KEPT:
        _spare.append(buffer)


class _Slot:
    """A buffer of the ring and how many hashing threads still need it."""

    def __init__(self, buffer: bytearray) -> None:
        self.buffer, self.count, self.users = buffer, 0, 0
        self.lock = threading.Lock()


class _Pipeline:
    """The ring and its threads, for one long body."""

    def __init__(self, source: Source, fd: int, hashers: Mapping[str, checksums.Hasher]) -> None:
        self._source, self._fd = source, fd
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        groups = [[h for name, h in hashers.items() if name == "md5"], [h for n, h in hashers.items() if n != "md5"]]
        self._groups = [group for group in groups if group]
        self._queues: list[queue.SimpleQueue[_Slot | None]] = [queue.SimpleQueue() for _ in self._groups]
        self._sync: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._failure: list[BaseException] = []

    def run(self, first: bytearray) -> int:
        """All bytes, `first` being full already. Returns their number."""
        threads = [
            threading.Thread(target=self._hash, args=pair, name="hash", daemon=True)
            for pair in zip(self._groups, self._queues, strict=True)
        ]
        threads.append(threading.Thread(target=self._flush, name="flush", daemon=True))
        extra = [_borrow() for _ in range(_RING - 1)]
        for buffer in extra:
            self._free.put(_Slot(buffer))
        for thread in threads:
            thread.start()
        try:
            return self._pump(_Slot(first))
        finally:
            for one in self._queues:
                one.put(None)
            self._sync.put(False)
            for thread in threads:
                thread.join()
            for buffer in extra:
                _give_back(buffer)
            if self._failure:
                raise self._failure[0]

    def _pump(self, slot: _Slot) -> int:
        size, unsynced = 0, 0
        slot.count = BUFFER_SIZE
        while slot.count:
            slot.users = len(self._queues)
            count = slot.count
            for one in self._queues:
                one.put(slot)
            with memoryview(slot.buffer) as view:
                fsutil.write_all(self._fd, view[:count])
            size += count
            unsynced += count
            if unsynced >= _SYNC_EVERY:
                self._sync.put(True)
                unsynced = 0
            if count < BUFFER_SIZE:
                break
            slot = self._free.get()
            with memoryview(slot.buffer) as view:
                slot.count = _fill(self._source, view)
        return size

    def _hash(self, hashers: list[checksums.Hasher], inbox: queue.SimpleQueue[_Slot | None]) -> None:
        while (slot := inbox.get()) is not None:
            try:
                with memoryview(slot.buffer) as view:
                    for hasher in hashers:
                        hasher.update(view[: slot.count])
            except Exception as error:  # noqa: BLE001 - the receiving thread raises it; the buffers go round meanwhile
                self._failure.append(error)
            with slot.lock:
                slot.users -= 1
                idle = slot.users == 0
            if idle:
                self._free.put(slot)

    def _flush(self) -> None:
        while self._sync.get():
            try:
                os.fdatasync(self._fd)
            except OSError as error:  # handed to the receiving thread, which raises it
                self._failure.append(error)
                return
