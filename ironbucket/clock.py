"""Hybrid logical clocks: wall-clock milliseconds that never run backwards, with a counter for ties.

Kulkarni et al., "Logical Physical Clocks" (2014). A stamp is taken under the log's lock, so the stamps of one
node strictly increase; between nodes the order is (ms, logical, node), which is total.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

#: how far ahead of our clock a peer's stamp may be, in milliseconds, before it is refused
MAX_SKEW_MS = 15 * 60 * 1000


class Stamp(NamedTuple):
    """When a record was made. Compares as (ms, logical, node, epoch): the last writer has the greatest stamp.

    The epoch decides between two lives of one node (a restored backup) that met the same millisecond.
    """

    ms: int  # Unix time in milliseconds
    logical: int  # counter among stamps of the same millisecond
    node: str
    epoch: str = ""


#: a file with milliseconds to add to the clock: how tests set the clocks of nodes apart
_OFFSET_FILE = os.environ.get("CLOCK_OFFSET_FILE", "")


def wall_ms() -> int:
    """The wall clock, in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000 + (_offset() if _OFFSET_FILE else 0)


def _offset() -> int:
    with open(_OFFSET_FILE, encoding="ascii") as source:
        return int(source.read() or 0)


def following(ms: int, logical: int, wall: int) -> tuple[int, int]:
    """The stamp after (ms, logical), given that the wall clock shows `wall`."""
    return (wall, 0) if wall > ms else (ms, logical + 1)
