"""A node, opened: the store, the log and the operations on them, wired together once per process.

`prepare` runs once per start, before any worker: it settles the epoch, repairs a torn end, applies what the index lacks
and sweeps staging. `Node.open` is what each worker process then does.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ironbucket.node import recover
from ironbucket.node.buckets import Buckets
from ironbucket.node.commit import Committer
from ironbucket.node.heads import LogFiles
from ironbucket.node.housekeeping import Housekeeping
from ironbucket.node.identity import Identity
from ironbucket.node.multipart import Uploads
from ironbucket.node.objects import Objects
from ironbucket.store.index import Index
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import Payloads

if TYPE_CHECKING:
    from ironbucket.config import Settings


@dataclass
class Node:
    """One process's view of the node."""

    settings: Settings
    identity: Identity
    index: Index
    payloads: Payloads
    files: LogFiles
    committer: Committer
    buckets: Buckets
    objects: Objects
    uploads: Uploads
    housekeeping: Housekeeping

    @staticmethod
    def prepare(settings: Settings, progress: recover.Progress = recover.quiet) -> recover.Prepared:
        """Make the node ready to be opened. Raises AlreadyRunning, LogDamaged, LogBehindIndex, ConfigurationError."""
        return recover.prepare(settings, progress)

    @classmethod
    def open(cls, settings: Settings) -> Node:
        """Open a prepared node, in the process (after any fork) that will use it."""
        layout = Layout(settings.storage_path)
        identity = recover.identity_of(settings)
        index = Index(layout.index, durable=not settings.wal_enabled)
        payloads = Payloads(layout)
        files = LogFiles(settings.wal_path, settings.node_id, identity.epoch)
        committer = Committer(
            index,
            payloads,
            files,
            lock_path=lock_path(settings),
            logged=settings.wal_enabled,
            sync=settings.wal_flush_interval == 0,
            segment_size=settings.wal_segment_size,
        )
        buckets = Buckets(index, committer)
        objects = Objects(index, payloads, committer, buckets, clustered=bool(settings.cluster_nodes))
        uploads = Uploads(index, payloads, committer, buckets, objects, node_id=settings.node_id)
        housekeeping = Housekeeping(index, payloads, committer, settings)
        return cls(settings, identity, index, payloads, files, committer, buckets, objects, uploads, housekeeping)

    def close(self) -> None:
        self.housekeeping.stop()
        self.committer.close()
        self.index.close()

    def start_housekeeping(self) -> threading.Thread:
        """Checkpoints, delayed flushes, garbage: in one worker of a node."""
        return self.housekeeping.start()


def lock_path(settings: Settings) -> str:
    """The lock of the log, beside it."""
    return os.path.join(os.path.dirname(settings.wal_path), "wal.lock")
