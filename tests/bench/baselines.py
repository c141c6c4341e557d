"""What the machine itself can do: MD5, and durable small files in plain Python."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

MIB = 1 << 20


def md5_rate(seconds: float = 1.0) -> float:
    """MD5 of one stream on one core, MB/s (10^6), with the interpreter that runs the server."""
    block = os.urandom(MIB)
    best = 0.0
    for _ in range(3):
        digest = hashlib.md5(usedforsecurity=False)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds / 3:
            digest.update(block)
            count += 1
        best = max(best, count * MIB / (time.perf_counter() - started) / 1e6)
    return best


def disk_rate(directory: Path, size: int = 64 * MIB) -> float:
    """Writing `size` bytes to a new file and syncing it, MB/s: a PUT cannot be durable faster than this."""
    block = memoryview(os.urandom(MIB))
    path, best = directory / "disk-rate", 0.0
    for _ in range(3):
        started = time.perf_counter()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for _ in range(size // MIB):
            os.write(fd, block)
        os.fdatasync(fd)
        os.close(fd)
        best = max(best, size / (time.perf_counter() - started) / 1e6)
        path.unlink()
    return best


class _GroupLog:
    """A log that one fsync makes durable for all who wait."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.lock = threading.Lock()
        self.turn = threading.Condition(self.lock)
        self.written = self.synced = 0
        self.syncing = False

    def append(self, line: bytes) -> None:
        with self.turn:
            os.write(self.fd, line)
            self.written += 1
            mine = self.written
            while self.synced < mine:
                if self.syncing:
                    self.turn.wait()
                    continue
                self.syncing = True
                goal = self.written
                self.lock.release()
                try:
                    os.fdatasync(self.fd)
                finally:
                    self.lock.acquire()
                self.syncing = False
                self.synced = max(self.synced, goal)
                self.turn.notify_all()


def _writers(directory: str, threads: int, seconds: float, queue: Any) -> None:
    root = Path(directory)
    log = _GroupLog(root / "log")
    body, line = os.urandom(1024), b"x" * 300 + b"\n"
    counts = [0] * threads
    finish = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < finish:
            name = f"{directory}/{number}-{counts[number]}"
            fd = os.open(name + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(fd, body)
            os.fsync(fd)
            os.close(fd)
            os.rename(name + ".tmp", name)
            log.append(line)
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    queue.put(sum(counts))


def durable_rate(directory: Path, seconds: float = 3.0) -> float:
    """create + fsync + rename of 1 KiB and one (shared) log sync, by 16 writers: the best of two ways, per second."""
    best = 0.0
    context = multiprocessing.get_context("fork")
    for processes, threads in ((1, 16), (2, 8)):
        folders = [directory / f"durable-{processes}-{i}" for i in range(processes)]
        queue = context.Queue()
        for folder in folders:
            folder.mkdir()
        running = [context.Process(target=_writers, args=(str(f), threads, seconds, queue)) for f in folders]
        for process in running:
            process.start()
        total = sum(queue.get() for _ in running)
        for process in running:
            process.join()
        best = max(best, total / seconds)
        for folder in folders:
            shutil.rmtree(folder)
    return best
