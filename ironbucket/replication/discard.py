"""Discarding: an operator lets an entry go whose payload a peer will not take.

The peer gets the line with its payload marked as gone, so that its copy of the log stays whole and what follows can
be delivered. Nothing else is skipped, and what was discarded is written down beside STATE_PATH, one JSON object a line,
where deleting STATE_PATH does not reach it and a replicator at work does not overwrite it.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from ironbucket import fsutil
from ironbucket.clock import wall_ms
from ironbucket.errors import ConfigurationError, IronBucketError
from ironbucket.replication.cursor import Cursor
from ironbucket.replication.peer import Peer, PeerRefused
from ironbucket.replication.run import Local, Shipment
from ironbucket.wal.reader import read_stream
from ironbucket.wal.record import PUT, Record

if TYPE_CHECKING:
    from ironbucket.config import Settings

_ATTEMPTS, _PAUSE = 20, 0.25  # a replicator may be delivering the same log just now


def discarded(state_path: str) -> list[dict[str, Any]]:
    """What was discarded so far: {"place", "peer", "bucket", "key", "ms"}, oldest first."""
    try:
        with open(_ledger(state_path), encoding="utf-8") as source:
            return [json.loads(line) for line in source]
    except FileNotFoundError:
        return []


def discard(settings: Settings, place: str, address: str) -> dict[str, Any]:
    """Deliver the entry at `place` (NODE/EPOCH/SEQUENCE) to the peer without its payload, and all that comes before it.

    Returns what was discarded. Raises ConfigurationError for a place or peer that there is not, PeerUnreachable, and
    IronBucketError when something other than the payload is refused.
    """
    stream, sequence = _parse(place)
    if address not in settings.cluster_nodes:
        raise ConfigurationError(f"{address} is not in CLUSTER_NODES ({', '.join(settings.cluster_nodes)})")
    local = Local.open(settings)
    peer = Peer(address, settings.cluster_secret, local.node)
    try:
        record = _record(local, stream, sequence)
        cursor = Cursor(address)
        cursor.reached(peer.vector())
        if cursor.sequence(stream) >= sequence:
            raise IronBucketError(f"{address} has {place} already: there is nothing to discard")
        _deliver(Shipment(settings, local, peer, cursor, discarded=place), cursor, stream, sequence)
        entry = {"place": place, "peer": address, "bucket": record.bucket, "key": record.key, "ms": wall_ms()}
        _note(settings.state_path, entry)
        return entry
    finally:
        peer.close()
        local.close()


def _parse(place: str) -> tuple[str, int]:
    node, _, rest = place.partition("/")
    epoch, _, sequence = rest.partition("/")
    if not node or not epoch or not (sequence.isascii() and sequence.isdigit()):
        raise ConfigurationError(f"{place!r} is not NODE/EPOCH/SEQUENCE; 'ironbucket status' shows what is refused")
    return f"{node}/{epoch}", int(sequence)


def _record(local: Local, stream: str, sequence: int) -> Record:
    node, _, epoch = stream.partition("/")
    path = local.files.active_path(node, epoch)
    line = next(read_stream(path, epoch, sequence - 1), None)
    if line is None or line.record.sequence != sequence:
        raise ConfigurationError(f"{stream}/{sequence} is in no log of this node")
    if line.record.operation != PUT:
        raise IronBucketError(
            f"{stream}/{sequence} is a {line.record.operation}: it has no payload, and only a payload can be discarded"
        )
    return line.record


def _deliver(shipment: Shipment, cursor: Cursor, stream: str, sequence: int) -> None:
    attempts = 0
    while cursor.sequence(stream) < sequence:
        try:
            moved = shipment.ship_stream(stream)
        except PeerRefused as refusal:
            attempts += 1
            if refusal.status != 503 or attempts > _ATTEMPTS:
                raise
            time.sleep(_PAUSE)
            continue
        if cursor.refused:
            place, reason = next(iter(cursor.refused.items()))
            raise IronBucketError(f"{cursor.address} refuses {place}: {reason}")
        if not moved:
            raise IronBucketError(f"{stream}/{sequence} could not be delivered to {cursor.address}")


def _note(state_path: str, entry: dict[str, Any]) -> None:
    fsutil.make_directory(os.path.dirname(state_path))
    with open(_ledger(state_path), "a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(entry) + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())


def _ledger(state_path: str) -> str:
    return state_path + ".discarded"
