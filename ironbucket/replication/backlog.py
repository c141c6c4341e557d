"""What waits for a peer, computed from the logs and from what the peer last said it holds.

It is right also when no replicator has run: whatever the logs hold beyond the peer's vector counts, with its age. So
it is never 0 while something is pending; at worst it still counts what another node has delivered meanwhile.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ironbucket.clock import wall_ms
from ironbucket.errors import LogDamaged
from ironbucket.node.heads import Head
from ironbucket.replication import discard
from ironbucket.replication.cursor import Cursor, read
from ironbucket.replication.run import Local
from ironbucket.wal.reader import oldest, read_stream
from ironbucket.wal.record import PUT

if TYPE_CHECKING:
    from ironbucket.config import Settings

#: lines that are read for one peer; the bytes of those beyond are estimated from them
_MOST_LINES = 20_000
#: milliseconds of difference between two clocks that are reported as a problem. Stamps are refused at 15 minutes.
_MOST_SKEW_MS = 60_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a peer lacks."""

    entries: int = 0
    bytes: int = 0  # of lines and payloads
    since_ms: int = 0  # stamp of the oldest entry that waits; 0 when none does, or when it is in no log any more
    exact: bool = True  # False: `bytes` is an estimate

    def plus(self, other: Backlog) -> Backlog:
        since = min(filter(None, (self.since_ms, other.since_ms)), default=0)
        return Backlog(self.entries + other.entries, self.bytes + other.bytes, since, exact=self.exact and other.exact)


def backlog(local: Local, cursor: Cursor, most_lines: int = _MOST_LINES) -> Backlog:
    """What waits for the peer behind `cursor`. Raises LogDamaged."""
    total = Backlog()
    for head in local.heads():
        total = total.plus(_of_stream(local, cursor, head, most_lines))
    return total


def _of_stream(local: Local, cursor: Cursor, head: Head, most_lines: int) -> Backlog:
    path = local.files.active_path(head.node, head.epoch)
    after = cursor.sequence(f"{head.node}/{head.epoch}")
    kept = oldest(path, head.epoch)
    start = max(after, (kept or head.sequence + 1) - 1)
    entries, size, since = start - after, 0, 0
    read_lines, at = 0, start
    with contextlib.suppress(LogDamaged):  # the replicator reports it; what lies behind it is counted all the same
        for line in read_stream(path, head.epoch, start):  # to its end: a record counts before the index has it
            if read_lines == most_lines:
                break
            record = line.record
            size += len(line.raw) + ((record.size or 0) if record.operation == PUT else 0)
            since = since or record.ms
            at = record.sequence
            read_lines += 1
    entries += read_lines
    rest = max(head.sequence - at, 0)
    exact = not rest and start == after
    if rest and read_lines:
        size += size * rest // read_lines
    return Backlog(entries + rest, size, since, exact=exact)


def stale_after_ms(settings: Settings) -> int:
    """How long an entry may wait, or a peer be silent, before that is a problem."""
    return max(60_000, 10 * settings.batch_interval)


def report(settings: Settings) -> list[dict[str, Any]]:
    """Each peer of CLUSTER_NODES: what it was seen to hold, what waits for it, its `problems` ([]: healthy)."""
    cursors = read(settings.state_path)
    discarded = discard.discarded(settings.state_path)
    local = Local.open(settings) if os.path.exists(settings.wal_path) else None
    try:
        found = []
        for address in settings.cluster_nodes:
            cursor = cursors.get(address) or Cursor(address)
            waiting = backlog(local, cursor) if local else Backlog()
            found.append(_peer(settings, cursor, waiting, [one for one in discarded if one["peer"] == address]))
        return found
    finally:
        if local:
            local.close()


def _peer(settings: Settings, cursor: Cursor, waiting: Backlog, discarded: list[dict[str, Any]]) -> dict[str, Any]:
    now = wall_ms()
    seconds = max((now - waiting.since_ms) // 1000, 1) if waiting.since_ms else int(waiting.entries > 0)
    return {
        "address": cursor.address,
        "node": cursor.node,
        "backlog": asdict(waiting) | {"seconds": seconds},
        "last_contact_ms": cursor.last_contact_ms,
        "last_error": cursor.last_error,
        "last_error_ms": cursor.last_error_ms,
        "skew_ms": cursor.skew_ms,
        "refused": cursor.refused,
        "discarded": discarded,
        "vector": cursor.vector,
        "problems": _problems(settings, cursor, waiting, now),
    }


def _problems(settings: Settings, cursor: Cursor, waiting: Backlog, now: int) -> list[str]:
    patience = stale_after_ms(settings)
    found = []
    if not cursor.last_contact_ms:
        found.append("was never reached")
    elif now - cursor.last_contact_ms > patience:
        found.append(f"was not reached for {(now - cursor.last_contact_ms) // 1000} s")
    found += [f"{place} refused: {reason}" for place, reason in cursor.refused.items()]
    if cursor.last_error and not cursor.refused:
        found.append(cursor.last_error)
    if waiting.since_ms and now - waiting.since_ms > patience:
        found.append(f"an entry has waited for {(now - waiting.since_ms) // 1000} s")
    if abs(cursor.skew_ms) > _MOST_SKEW_MS:
        found.append(f"its clock is {abs(cursor.skew_ms) // 1000} s {'ahead' if cursor.skew_ms > 0 else 'behind'}")
    return found
