"""REPLICATION_ACK: a write is answered when so many nodes hold it durably.

Writes that wait share deliveries, as they share syncs: each peer has a thread that ships whatever it lacks while
somebody waits. The timer's replicator goes on beside it; the receiver takes each record once.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from ironbucket.errors import IronBucketError, ServiceUnavailable
from ironbucket.replication.cursor import Cursor
from ironbucket.replication.peer import Peer
from ironbucket.replication.run import Local, Shipment

if TYPE_CHECKING:
    from ironbucket.config import Settings
    from ironbucket.node.node import Node

log = logging.getLogger(__name__)

_RETRY = 0.05


class NotReplicated(ServiceUnavailable):
    """The write is durable on this node, but too few other nodes confirmed it in time. It will reach them; it is not
    undone. Repeating it is safe."""


def peers_needed(level: str, peers: int) -> int:
    """How many other nodes must hold a write."""
    return {"local": 0, "one": min(1, peers), "quorum": (peers + 1) // 2, "all": peers}[level]


class Acknowledger:
    """Waits for peers on behalf of writes. One per process."""

    def __init__(self, settings: Settings, node: Node) -> None:
        self._settings, self._node = settings, node
        self._needed = peers_needed(settings.replication_ack, len(settings.cluster_nodes))
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._target = 0
        self._reached = dict.fromkeys(settings.cluster_nodes, 0)
        self._threads: list[threading.Thread] = []

    def wait(self, sequence: int) -> None:
        """Return when enough peers hold this node's record `sequence`. Raises NotReplicated."""
        if not self._needed:
            return
        deadline = time.monotonic() + self._settings.replication_timeout
        with self._changed:
            if not self._threads:
                self._start()
            self._target = max(self._target, sequence)
            self._changed.notify_all()
            while sum(reached >= sequence for reached in self._reached.values()) < self._needed:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise NotReplicated
                self._changed.wait(remaining)

    def _start(self) -> None:
        for address in self._settings.cluster_nodes:
            thread = threading.Thread(target=self._deliver, args=(address,), name=f"ack {address}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _deliver(self, address: str) -> None:
        """The thread of one peer."""
        node, settings = self._node, self._settings
        local = Local(node.identity.node, node.identity.epoch, node.index, node.files, node.payloads.layout)
        peer = Peer(address, settings.cluster_secret, settings.node_id, timeout=settings.replication_timeout)
        cursor = Cursor(address)
        stream = f"{node.identity.node}/{node.identity.epoch}"
        while not self._stop.is_set():
            with self._changed:
                while self._reached[address] >= self._target and not self._stop.is_set():
                    self._changed.wait(1.0)
            try:
                Shipment(settings, local, peer, cursor).ship(self._stop, stream)
            except (IronBucketError, OSError) as error:  # whoever waits is told by the time limit
                log.info("%s: %s", address, error)
                self._stop.wait(_RETRY)
            with self._changed:
                self._reached[address] = max(self._reached[address], cursor.sequence(stream))
                self._changed.notify_all()

    def close(self) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
