"""Which closed segments may go: every peer has them, a snapshot covers them, and they are old enough or too many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ironbucket import failpoints, fsutil
from ironbucket.clock import wall_ms
from ironbucket.node.peers import Peer, Vector
from ironbucket.wal.segment import segments


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed segment of some log."""

    path: str
    stream: str  # "node/epoch"
    last: int  # sequence of its last record
    size: int  # bytes on disk
    written_ms: int  # Unix time of its last record, or nearly


@dataclass(frozen=True, slots=True)
class Policy:
    age: float  # seconds for which a closed segment is kept
    size: int  # bytes of closed segments that are kept, whoever lacks them


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    remove: list[Closed]
    uncovered: list[Closed]  # could go, were it not that no snapshot covers them
    behind: list[Peer]  # peers that lack what is removed because there is too much: they will need a snapshot


def closed_segments(streams: Iterable[tuple[str, str, str]]) -> list[Closed]:
    """The closed segments of streams given as (node, epoch, active path), those written first before the others."""
    found = []
    for node, epoch, active in streams:
        files = segments(active, epoch)
        for segment, successor in pairwise(files):
            status = os.stat(segment.path)
            stream = f"{node}/{epoch}"
            found.append(
                Closed(segment.path, stream, successor.first - 1, status.st_size, status.st_mtime_ns // 1_000_000)
            )
    return sorted(found, key=lambda one: (one.written_ms, one.stream, one.last))


def plan(closed: Sequence[Closed], policy: Policy, covered: Vector, peers: Sequence[Peer]) -> Plan:
    """Decide on all closed segments at once. A stream is only ever shortened from its beginning."""
    now = wall_ms()
    total = sum(one.size for one in closed)
    remove: list[Closed] = []
    uncovered: list[Closed] = []
    behind: dict[str, Peer] = {}
    kept: set[str] = set()  # streams of which an earlier segment stays
    for one in closed:
        lacking = [peer for peer in peers if peer.vector.get(one.stream, 0) < one.last]
        too_much = total > policy.size
        expired = not lacking and now - one.written_ms > policy.age * 1000
        if one.stream in kept or not (too_much or expired):
            kept.add(one.stream)
        elif covered.get(one.stream, 0) < one.last:
            uncovered.append(one)
            kept.add(one.stream)
        else:
            remove.append(one)
            total -= one.size
            behind.update({peer.address: peer for peer in lacking})
    return Plan(remove, uncovered, list(behind.values()))


def remove(closed: Iterable[Closed]) -> None:
    """Remove segments, the oldest first: a crash leaves no gap."""
    for one in closed:
        failpoints.hit("segment-remove")
        os.unlink(one.path)
        fsutil.sync_directory(os.path.dirname(one.path))
