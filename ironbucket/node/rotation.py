"""When a segment is closed: it has reached a size, or its first record an age. For this node's log and every copy.

The node's own log is also rotated by size as it is written (`ironbucket.node.commit`); here is the rest.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from ironbucket.clock import wall_ms
from ironbucket.node import heads
from ironbucket.node.commit import Committer
from ironbucket.node.heads import Head, LogFiles, at_end
from ironbucket.wal.stream import ActiveSegment


@dataclass(frozen=True, slots=True)
class Limits:
    size: int  # bytes
    age: float  # seconds


def rotate(files: LogFiles, committer: Committer, limits: Limits) -> list[Head]:
    """Close every active segment that is due; returns the new heads. Raises LogBehindIndex, OSError."""

    def action(connection: sqlite3.Connection) -> list[Head]:
        rotated = []
        for head in heads.load_all(connection):
            active = files.segment(head)
            # lines that the index does not know are another's business: whoever commits next applies them
            if active is not None and at_end(head, active) and _is_due(active, head, limits):
                rotated.append(files.rotate(head))
                heads.save(connection, rotated[-1])
        return rotated

    return committer.undisturbed(action)


def _is_due(active: ActiveSegment, head: Head, limits: Limits) -> bool:
    if head.offset <= active.start:
        return False
    return head.offset >= limits.size or first_ms(active) <= wall_ms() - limits.age * 1000


def first_ms(active: ActiveSegment) -> int:
    """The stamp of a segment's first record, in Unix milliseconds; the present when it is no record."""
    with active.reader() as source:
        source.seek(active.start)
        fields = source.readline().split(b"\t", 4)
    try:
        return int(fields[3])
    except (IndexError, ValueError):
        return wall_ms()  # damage is reported by those who read the log
