"""The node's history, kept at a bounded length by itself: rotate, compress, snapshot, remove, forget.

One worker of a node runs it, in a thread of its own beside housekeeping, because a snapshot takes its time. Nothing
here is needed for correctness at any given moment.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ironbucket.clock import Stamp, wall_ms
from ironbucket.errors import IronBucketError
from ironbucket.node import collect, heads, retention, rotation, snapshot
from ironbucket.node.commit import Committer
from ironbucket.node.heads import LogFiles
from ironbucket.node.peers import Agreement, Peer, Peers, Reckoning, Vector, alone
from ironbucket.store.index import Index
from ironbucket.wal import archive
from ironbucket.wal import snapshot as snapshot_file

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)

_PAUSE = 5.0  # seconds between two rounds
_COLLECT_EVERY = 3600.0  # seconds at most: a round reads the whole history


class History:
    """The thread and its rounds."""

    def __init__(self, index: Index, files: LogFiles, committer: Committer, settings: Settings) -> None:
        self._index, self._files, self._committer, self._settings = index, files, committer, settings
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._peers: Peers = alone
        self._reckoning = Reckoning(max(settings.wal_retention, 3 * settings.batch_interval / 1000))
        self._everyone, self._present = Agreement(), Agreement()
        self._deleted: dict[str, Stamp] | None = None
        self._warned: set[str] = set()
        self._collected = 0.0

    def start(self, peers: Peers) -> None:
        """Begin the rounds; `peers` is asked in each."""
        self._peers = peers
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the round under way."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def needed_since(self) -> int:
        """Payloads that were freed before this moment (Unix milliseconds) are needed by no peer that counts."""
        return self._present.settled.ms if self._settings.cluster_nodes else wall_ms()

    def _run(self) -> None:
        if self._settings.wal_enabled:
            snapshot_file.remove_remnants(self._files.directory)
        pause = min(_PAUSE, max(self._settings.wal_segment_age, 0.5), max(self._settings.wal_retention, 0.5))
        while not self._stop.wait(pause):
            try:
                self.round()
            except (IronBucketError, OSError) as error:  # a full disk passes; damage is reported until it is mended
                log.warning("history: %s", error)

    def round(self) -> None:
        """All of it once."""
        peers = self._peers()
        counted, dropped = self._reckoning.counted(peers)
        own = self._vector()
        self._present.observe(own, counted)
        if self._settings.wal_enabled:
            self._warn(dropped, "has been away for longer than WAL_RETENTION: nothing is kept for it any longer")
            self._shorten(counted)
        self._forget(own, peers)

    def _vector(self) -> dict[str, int]:
        return {f"{head.node}/{head.epoch}": head.sequence for head in heads.load_all(self._index.reader)}

    def _streams(self) -> list[tuple[str, str, str]]:
        return [
            (head.node, head.epoch, self._files.active_path(head.node, head.epoch))
            for head in heads.load_all(self._index.reader)
        ]

    # -- the log --------------------------------------------------------------------------------------------------

    def _shorten(self, peers: Sequence[Peer]) -> None:
        settings = self._settings
        rotation.rotate(
            self._files, self._committer, rotation.Limits(settings.wal_segment_size, settings.wal_segment_age)
        )
        streams = self._streams()
        for _, epoch, active in streams:
            if self._stop.is_set():
                return
            archive.compress_closed(active, epoch)
        policy = retention.Policy(settings.wal_retention, settings.wal_retention_size)
        closed = retention.closed_segments(streams)
        reach = snapshot.covered(self._files.directory)
        plan = retention.plan(closed, policy, reach, peers)
        if plan.uncovered or not snapshot.is_complete(self._files, heads.load_all(self._index.reader), reach):
            plan = retention.plan(closed, policy, self.snapshot(), peers)
        self._warn(plan.behind, "lacks records that go because of WAL_RETENTION_SIZE")
        retention.remove(plan.remove)
        if plan.remove:
            log.info("removed %d closed segments, which a snapshot covers", len(plan.remove))

    def snapshot(self) -> Vector:
        """Take a snapshot, which replaces those before it; returns how far it goes."""
        began = time.monotonic()
        path = snapshot.take(self._index, self._files.directory, self._settings.node_id)
        log.info("wrote %s: %d bytes in %.1f s", path, os.path.getsize(path), time.monotonic() - began)
        snapshot.drop_older(self._files.directory)
        return snapshot.covered(self._files.directory)

    def _warn(self, peers: Sequence[Peer], what: str) -> None:
        """Once for each peer, until it has been back."""
        for peer in peers:
            if peer.address not in self._warned:
                log.warning(
                    "peer %s (%s) %s; it takes a snapshot when it returns", peer.address, peer.node or "?", what
                )
        named = {peer.address for peer in peers}
        if what.startswith("has been away"):
            self._warned = {address for address in self._warned if address in named} | named

    # -- what is forgotten ----------------------------------------------------------------------------------------

    def _forget(self, own: Vector, peers: Sequence[Peer]) -> None:
        """Forgetting needs every configured peer, however long it is away: unconfigure one that is gone for good."""
        before = self._everyone.settled
        settled = self._everyone.observe(own, peers)
        grace = self._settings.tombstone_grace
        if settled is before or time.monotonic() - self._collected < min(_COLLECT_EVERY, max(grace, 1.0)):
            return
        if self._deleted is None:
            # buckets carry no position: what is deleted now is settled with a moment that is noted from now on
            self._deleted = collect.deleted_buckets(self._index)
            return
        deleted, self._deleted, self._collected = self._deleted, None, time.monotonic()
        gone = collect.collect(self._index, self._committer, settled, wall_ms() - int(grace * 1000), deleted)
        if gone:
            log.info("forgot %d tombstones, %d deleted buckets", gone.tombstones, gone.buckets)
