"""What a node does beside serving: move the index's own log along, flush a delayed log, free payloads.

One worker of a node runs it, in one thread. Nothing here is needed for correctness at any given moment.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ironbucket.clock import wall_ms
from ironbucket.errors import IronBucketError
from ironbucket.node.commit import Committer, Transaction
from ironbucket.store.index import Index, index_errors
from ironbucket.store.payloads import Payloads

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)

_CHECKPOINT_BYTES = 8 << 20
_BATCH = 500
#: below this share of free space payloads are freed before the history window has passed
_LOW_SPACE = 0.05


class Housekeeping:
    """The thread and its rounds."""

    def __init__(self, index: Index, payloads: Payloads, committer: Committer, settings: Settings) -> None:
        self._index, self._payloads, self._committer, self._settings = index, payloads, committer, settings
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        #: payloads freed before this moment (Unix milliseconds) are needed by no peer; set by whoever knows the peers
        self.needed_since: Callable[[], int] = wall_ms

    def start(self) -> threading.Thread:
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()
        return self._thread

    def stop(self) -> None:
        """Ends after the round under way; a delayed log is flushed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            if self._settings.wal_flush_interval and self._settings.wal_enabled:
                self._committer.sync_log()

    def _run(self) -> None:
        interval = self._settings.wal_flush_interval
        pause = min(interval, 1.0) if interval else 1.0
        flushed = collected = time.monotonic()
        while not self._stop.wait(pause):
            now = time.monotonic()
            try:
                if interval and self._settings.wal_enabled and now - flushed >= interval:
                    self._committer.sync_log()
                    flushed = now
                self.checkpoint()
                if now - collected >= 5:
                    self.collect()
                    collected = now
            except (IronBucketError, OSError) as error:  # a full disk passes; the next round tries again
                log.warning("housekeeping: %s", error)

    def checkpoint(self) -> None:
        """Keep the index's own log short."""
        self._index.checkpoint(beyond=_CHECKPOINT_BYTES)

    def collect(self) -> int:
        """Free payloads that nothing refers to. Returns how many.

        They stay for the history window, and until every peer has the record of what they were. Where space is short
        neither holds: a peer then gets the records that replaced them without bytes that nobody can read any more.
        """
        before = wall_ms()
        if not self._short_of_space():
            before = min(before - int(self._settings.history_window * 1000), self.needed_since())
        freed = 0
        while True:
            with index_errors():
                rows = self._index.reader.execute(
                    "SELECT path FROM garbage WHERE since_ms <= ? ORDER BY since_ms LIMIT ?", (before, _BATCH)
                ).fetchall()
            if not rows:
                return freed
            for (path,) in rows:
                self._payloads.remove(path)
            self._committer.submit(partial(_forget, rows=rows))
            freed += len(rows)

    def _short_of_space(self) -> bool:
        space = os.statvfs(self._settings.storage_path)
        return space.f_bavail < space.f_blocks * _LOW_SPACE


def _forget(transaction: Transaction, rows: list[tuple[str]]) -> None:
    transaction.connection.executemany("DELETE FROM garbage WHERE path = ?", rows)
