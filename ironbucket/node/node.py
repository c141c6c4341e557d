"""A node, opened: the store, the log and the operations on them, wired together once per process.

`prepare` runs once per start, before any worker: it settles the epoch, repairs a torn end, applies what the index lacks
and sweeps staging. `Node.open` is what each worker process then does.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ironbucket.errors import InvalidArgument, ServiceUnavailable
from ironbucket.node import heads, recover
from ironbucket.node.buckets import Buckets
from ironbucket.node.commit import Committer
from ironbucket.node.heads import LogFiles
from ironbucket.node.history import History
from ironbucket.node.housekeeping import Housekeeping
from ironbucket.node.identity import Identity
from ironbucket.node.multipart import Uploads
from ironbucket.node.objects import Objects
from ironbucket.node.peers import Peers, alone
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
    history: History

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
        history = History(index, files, committer, settings)
        housekeeping.needed_since = history.needed_since
        return cls(
            settings, identity, index, payloads, files, committer, buckets, objects, uploads, housekeeping, history
        )

    def position(self) -> str:
        """How far this node's own log goes: NODE/EPOCH/SEQUENCE. What was written before is at or before it."""
        head = heads.load(self.index.reader, self.identity.node, self.identity.epoch)
        return f"{head.node}/{head.epoch}/{head.sequence}"

    def reached(self, position: str) -> bool:
        """Whether this node has applied everything up to a position. Raises InvalidArgument for what is none."""
        node, epoch, sequence = (*position.split("/"), "", "")[:3]
        if not node or not epoch or not sequence.isdecimal():
            raise InvalidArgument("A position is NODE/EPOCH/SEQUENCE.", ArgumentValue=position)
        row = self.index.reader.execute(
            "SELECT sequence FROM streams WHERE node = ? AND epoch = ?", (node, epoch)
        ).fetchone()
        return row is not None and row[0] >= int(sequence)

    def wait_for(self, position: str) -> None:
        """Return when this node has reached a position. Raises ServiceUnavailable when that takes too long."""
        deadline = time.monotonic() + self.settings.replication_timeout
        while not self.reached(position):
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"This node has not received {position} yet. Try again.")
            time.sleep(0.02)

    def close(self) -> None:
        self.housekeeping.stop()
        self.history.stop()
        self.committer.close()
        self.index.close()

    def start_housekeeping(self, peers: Peers = alone) -> threading.Thread:
        """Checkpoints, delayed flushes, garbage, the log's length: in one worker of a node, which knows its peers."""
        self.history.start(peers)
        return self.housekeeping.start()


def lock_path(settings: Settings) -> str:
    """The lock of the log, beside it."""
    return os.path.join(os.path.dirname(settings.wal_path), "wal.lock")
