"""Reading back what is on this disk: every line of every log, every payload's size, and a share of the payloads' bytes.

The share rotates with the day, so that each payload is read once in `SHARES` days. Leftovers in staging that nobody has
written to for a day are removed, unless a record exists: then they get their name.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ironbucket.errors import LogDamaged
from ironbucket.node import heads
from ironbucket.node.heads import Head, LogFiles
from ironbucket.store import buckets, check, keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind
from ironbucket.store.payloads import Payloads
from ironbucket.wal.reader import oldest, read_stream

log = logging.getLogger(__name__)

#: called with (what is being done, how many steps are done, how many there are or 0)
Progress = Callable[[str, int, int], None]

SHARES = 28
_LEFT = 86_400  # seconds
_TELL_EVERY = 10_000  # lines


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: `kind` is log, missing or damaged."""

    kind: str
    what: str


@dataclass(slots=True)
class Counts:
    """What was looked at."""

    lines: int = 0
    payloads: int = 0
    read: int = 0
    bytes: int = 0
    removed: int = 0


def day_number() -> int:
    """Days since 1970, which choose the share."""
    return int(time.time() // 86_400)


def scrub(
    index: Index, files: LogFiles, payloads: Payloads, counts: Counts, progress: Progress, *, day: int, shares: int
) -> Iterator[Finding]:
    """Everything that is wrong, as it is found. `shares` 1: all bytes are read."""
    for head in heads.load_all(index.reader):
        yield from _log(files, head, counts, progress)
    total = check.count(index)
    for version in check.live_versions(index):
        counts.payloads += 1
        read = zlib.crc32(version.version.encode()) % shares == day % shares
        if read:
            counts.read += 1
            counts.bytes += version.size
        for damage in check.check(index, payloads, version, read=read):
            yield Finding(damage.kind, f"{version.bucket}/{version.key}: {damage.what}")
        progress("reading payloads", counts.payloads, total)
    counts.removed = sweep(index, payloads, time.time() - _LEFT)


def _log(files: LogFiles, head: Head, counts: Counts, progress: Progress) -> Iterator[Finding]:
    """One log: every chain hash, and that it is the log that the index has applied."""
    path = files.active_path(head.node, head.epoch)
    name = f"{head.node}/{head.epoch}"
    last = 0
    try:
        first = oldest(path, head.epoch)
        if first is None:
            return  # a name in the index of which no record has come, or whose log was given up after a snapshot
        last = first - 1
        for line in read_stream(path, head.epoch, first - 1):
            last = line.record.sequence
            counts.lines += 1
            if last == head.sequence and line.chain != head.chain:
                yield Finding("log", f"{path}: record {last} of {name} is not the one that the index has applied")
            if counts.lines % _TELL_EVERY == 0:
                progress("reading the logs", counts.lines, 0)
    except LogDamaged as error:
        yield Finding("log", error.message)
        return
    if last < head.sequence:
        yield Finding("log", f"{path}: {name} ends at record {last}, but the index has applied {head.sequence}")


def sweep(index: Index, payloads: Payloads, before: float) -> int:
    """Clear staging of what was last written before that time (Unix seconds). Returns how many were removed."""
    removed = 0
    for bucket in payloads.buckets():
        staging = payloads.layout.staging(bucket)
        for name in os.listdir(staging) if os.path.isdir(staging) else []:
            path = os.path.join(staging, name)
            try:
                if os.stat(path).st_mtime >= before:
                    continue
            except FileNotFoundError:
                continue
            parsed = payloads.parse(bucket, name)
            if parsed and _is_wanted(index, bucket, *parsed):
                log.warning("%s has a record: it gets its name", path)
                payloads.settle(bucket, *parsed)
            else:
                log.warning("%s was left by a transfer that broke off: removed", path)
                payloads.remove(path)
                removed += 1
    return removed


def _is_wanted(index: Index, bucket: str, key: str, version: str) -> bool:
    row = buckets.load(index.reader, bucket)
    state = keys.load(index, index.reader, row.number, bucket, key) if row else ()
    return any(one.version == version and one.kind is Kind.OBJECT for one in state)
