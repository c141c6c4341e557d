"""Giving records another life: those that this node wrote in an epoch under numbers which it had given out before.

That happens when a log goes back unnoticed, as with a virtual machine that returns to an earlier state of its disk. The
peers hold the records that were there first. The others move, in their order, into a new epoch that parts where the two
lives do: nothing that was acknowledged is lost. A crash at any step is mended by doing it again.
"""

from __future__ import annotations

import os

from ironbucket import failpoints, fsutil
from ironbucket.node.identity import begin_epoch
from ironbucket.wal.reader import read_stream, tail
from ironbucket.wal.record import Record, decode, encode
from ironbucket.wal.segment import Header, Segment, closed_segments, open_segment, read_header, segments
from ironbucket.wal.stream import ActiveSegment

_NAME = "diverted.log"
_CHUNK = 1000  # records


def is_unfinished(directory: str) -> bool:
    """Whether a `divert` was cut short: until it is done again, records are only in its file."""
    return os.path.exists(os.path.join(directory, _NAME))


def divert(wal_path: str, after: int) -> int:
    """Take the records after `after` out of this node's log and into a new epoch. Returns how many there were.

    The caller holds the node; the index has to be made anew. After a crash `after` counts for nothing: it goes on as it
    had begun. Raises LogDamaged, OSError.
    """
    directory = os.path.dirname(wal_path)
    kept = os.path.join(directory, _NAME)
    if not os.path.exists(kept):
        _keep(wal_path, after, kept)
    failpoints.hit("divert-kept")
    old, _ = read_header(kept)
    if read_header(wal_path)[0].epoch == old.epoch:
        _cut(wal_path, old)
        failpoints.hit("divert-cut")
        begin_epoch(wal_path)
    count = _append(wal_path, kept, old)
    failpoints.hit("divert-appended")
    os.unlink(kept)
    fsutil.sync_directory(directory)
    return count


def _keep(wal_path: str, after: int, kept: str) -> None:
    """Copy the records to a file of their own, whose header says where they were."""
    header, _ = read_header(wal_path)
    lines = read_stream(wal_path, header.epoch, after)
    temporary = kept + ".tmp"
    with open(temporary, "wb") as target:
        first = Header(header.node, header.epoch, after + 1, header.chain)
        target.write(first.encode())
        target.writelines(line.raw for line in lines)
        target.flush()
        os.fsync(target.fileno())
    os.rename(temporary, kept)
    fsutil.sync_directory(os.path.dirname(kept))


def _cut(wal_path: str, old: Header) -> None:
    """Shorten the log to the records before those that were kept; the segment that held the last becomes the active."""
    files = segments(wal_path, old.epoch)
    last = max((one for one in files if one.first < old.first), key=lambda one: one.first, default=files[0])
    fsutil.replace_file(wal_path, _beginning(last, old.first))
    for segment in reversed(closed_segments(os.path.dirname(wal_path), old.epoch)):
        if segment.first >= last.first:
            os.unlink(segment.path)
    fsutil.sync_directory(os.path.dirname(wal_path))


def _beginning(segment: Segment, upto: int) -> bytes:
    """A segment without the records from `upto` on."""
    with open_segment(segment.path) as source:
        kept = [source.readline()]
        for raw in source:
            if decode(raw.removesuffix(b"\n"), None)[0].sequence >= upto:
                break
            kept.append(raw)
    return b"".join(kept)


def _append(wal_path: str, kept: str, old: Header) -> int:
    """Write the records into the new epoch, those that are not there yet."""
    header, last, size = tail(wal_path)
    sequence, chain = (last.record.sequence, last.chain) if last else (header.first - 1, header.chain)
    count = 0
    active = ActiveSegment.open(wal_path)
    try:
        lines: list[bytes] = []
        for record in _records(kept, old):
            count += 1
            if record.sequence <= sequence:
                continue
            line, chain = encode(record, chain)
            lines.append(line)
            if len(lines) == _CHUNK:
                active.append(b"".join(lines), size)
                size += sum(map(len, lines))
                lines.clear()
        active.append(b"".join(lines), size)
        active.sync()
    finally:
        active.close()
    return count


def _records(kept: str, old: Header) -> list[Record]:
    with open(kept, "rb") as source:
        source.readline()
        return [decode(raw.removesuffix(b"\n"), None, old.epoch)[0] for raw in source]
