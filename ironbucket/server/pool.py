"""Threads for what blocks: as many as there is work for, up to a limit; those not needed for a while end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

Job = Callable[[], object]
_log = logging.getLogger("ironbucket.server")


class Pool:
    """An elastic pool of daemon threads. A job must not raise; one that does is logged."""

    def __init__(self, kept: int, most: int, idle: float = 10.0) -> None:
        """Keeps `kept` threads at rest, runs at most `most`; a thread beyond `kept` ends after `idle` seconds."""
        self._kept = kept
        self._most = most
        self._rest = idle
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = 0
        self._spare = 0  # threads that wait, less jobs that wait for one: below 0 in a queue of `always` jobs

    # cheroot's server looks at these
    @property
    def idle(self) -> int:
        return max(self._spare, 0)

    @property
    def qsize(self) -> int:
        return self._jobs.qsize()

    @property
    def threads(self) -> int:
        return self._threads

    def submit(self, job: Job, *, always: bool = False) -> bool:
        """Run `job` in a thread. False if all threads are at work, unless `always`: then it waits its turn."""
        with self._lock:
            if self._spare > 0 or self._threads >= self._most:
                if self._spare <= 0 and not always:
                    return False
                self._spare -= 1
                self._jobs.put(job)
                return True
            self._threads += 1
        try:
            threading.Thread(target=self._run, args=(job,), name="pool", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            with self._lock:
                self._threads -= 1
                if not always or not self._threads:
                    return False
                self._spare -= 1
                self._jobs.put(job)
        return True

    def _run(self, job: Job | None) -> None:
        while job is not None:
            try:
                job()
            except Exception:  # noqa: BLE001 - the thread goes on with other jobs
                _log.exception("a job of the pool failed")
            job = None  # what it holds is not kept alive while this thread waits
            with self._lock:
                self._spare += 1
            job = self._next()

    def _next(self) -> Job | None:
        """The next job; None when this thread is to end."""
        while True:
            try:
                return self._jobs.get(timeout=self._rest)
            except Empty:
                with self._lock:
                    if self._spare > 0 and self._threads > self._kept:
                        self._spare -= 1
                        self._threads -= 1
                        return None

    def stop(self, timeout: float = 0) -> bool:
        """Wait up to `timeout` seconds for jobs to end, and let the threads end. Says whether all jobs have."""
        deadline = time.monotonic() + timeout
        with self._lock:
            self._most = 0  # nothing new starts
        while self._spare < self._threads and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            done = self._spare >= self._threads
            for _ in range(max(self._spare, 0)):
                self._jobs.put(None)
                self._spare -= 1
                self._threads -= 1
        return done
