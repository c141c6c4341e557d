"""The logs of this node, read for shipping: from any record on, batch by batch, in one pass.

A reader is kept between batches, because a compressed segment can only be read from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ironbucket.errors import IronBucketError, LogDamaged
from ironbucket.node.heads import Head, LogFiles
from ironbucket.replication import wire
from ironbucket.wal.reader import Line, read_stream
from ironbucket.wal.segment import Header, Segment, read_header, segments


class SnapshotNeeded(IronBucketError):
    """The peer lacks records that the logs no longer hold: it needs a snapshot."""


@dataclass(slots=True)
class _Reader:
    lines: Iterator[Line]
    after: int  # the last record that was taken
    chain: str  # and its chain hash
    next: Line | None = None  # read already, and not taken yet


class Feed:
    """Batches of the logs in `files`."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._readers: dict[tuple[str, str], _Reader] = {}

    def take(self, head: Head, after: int, most: int) -> tuple[Header, list[Line]]:
        """At most `most` records of a log after the record `after`, up to `head`, and the header of such a piece.

        Raises SnapshotNeeded; raises LogDamaged when the very next record is damaged.
        """
        place = (head.node, head.epoch)
        files = segments(self._files.active_path(*place), head.epoch)
        first = _first(head, after, files)
        after = max(after, first.first - 1)
        reader = self._readers.pop(place, None)
        if reader is None or reader.after != after:
            reader = self._open(head, first, after)
        header = Header(head.node, head.epoch, after + 1, reader.chain)
        if first.begins and first.first == after + 1:
            header = replace(header, parent_epoch=first.parent_epoch, parent_sequence=first.parent_sequence)
        lines = _take(reader, head.sequence, most)
        # the end of the active segment may be taken back and written anew: what was read ahead of it is not kept
        if reader.next is not None and reader.next.record.sequence < files[-1].first:
            self._readers[place] = reader
        return header, lines

    def _open(self, head: Head, first: Header, after: int) -> _Reader:
        path = self._files.active_path(head.node, head.epoch)
        if after < first.first:
            return _Reader(read_stream(path, head.epoch, after), after, first.chain)
        lines = read_stream(path, head.epoch, after - 1)
        before = next(lines, None)
        return _Reader(lines, after, before.chain if before is not None else "")


def _first(head: Head, after: int, files: list[Segment]) -> Header:
    """The header of the oldest segment that is kept. Raises SnapshotNeeded when it begins too late."""
    if not files:
        raise SnapshotNeeded(f"records {after + 1} to {head.sequence} of {head.node} are in no log here")
    header, _ = read_header(files[0].path)
    if after < header.first - 1 and not (after == 0 and header.begins):
        raise SnapshotNeeded(f"record {after + 1} of {head.node} is wanted, its log here begins at {header.first}")
    return header


def _take(reader: _Reader, upto: int, most: int) -> list[Line]:
    lines: list[Line] = []
    size = 0
    while True:
        try:
            reader.next = reader.next or next(reader.lines, None)
        except LogDamaged:
            if not lines:
                raise
            reader.next = None  # what lies before the damage is delivered; the next batch meets it first
        line = reader.next
        if line is None or line.record.sequence > upto or len(lines) == most or size >= wire.MAX_BATCH_BYTES:
            return lines
        lines.append(line)
        size += len(line.raw) + min(line.record.size or 0, wire.MAX_INLINE)
        reader.after, reader.chain, reader.next = line.record.sequence, line.chain, None
