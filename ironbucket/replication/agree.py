"""Where this node's log and what its peers hold of it part: the last record that all of them agree on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ironbucket.errors import IronBucketError
from ironbucket.replication.peer import Peer
from ironbucket.wal.reader import chain_at, tail

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)


def parting(settings: Settings) -> int | None:
    """The last record of this node's log that every peer holds as it is here; None when nothing contradicts the log.

    Peers that cannot be reached are passed over, with a warning. Raises LogDamaged.
    """
    points = []
    for address in settings.cluster_nodes:
        peer = Peer(address, settings.cluster_secret, settings.node_id)
        try:
            point = _parting(settings, peer)
        except IronBucketError as error:
            log.warning("%s cannot be asked what it holds of this node's log: %s", address, error.message)
            continue
        finally:
            peer.close()
        if point is not None:
            points.append(point)
    return min(points, default=None)


def _parting(settings: Settings, peer: Peer) -> int | None:
    header, last, _ = tail(settings.wal_path)
    end = last.record.sequence if last else header.first - 1
    held = int(peer.vector()["vector"].get(f"{header.node}/{header.epoch}", (0, ""))[0])

    def agree(sequence: int) -> bool:
        """Whether both hold the same record; where one of them no longer holds it nothing speaks against it."""
        here = chain_at(settings.wal_path, header.epoch, sequence)
        place = {"node": header.node, "epoch": header.epoch, "sequence": str(sequence)}
        there = peer.get("chain", place)["chain"]
        return None in (here, there) or here == there

    low, high = 0, min(end, held)
    if high and agree(high):
        low = high
    while low < high:
        middle = (low + high + 1) // 2
        if agree(middle):
            low = middle
        else:
            high = middle - 1
    return low if low < held else None
