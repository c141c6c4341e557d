"""Reading a stream: records in order, every chain hash checked, from any sequence on.

A reader never returns a line that it could not prove to be what was written: it stops, with the byte offset.
What may be torn is only the end of the active segment; `Torn` says where, and that nothing valid follows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ironbucket.errors import LogDamaged
from ironbucket.wal.record import InvalidRecord, Record, decode
from ironbucket.wal.segment import Header, Segment, open_segment, read_header, seek_sequence, segments, skip_lines


@dataclass(frozen=True, slots=True)
class Line:
    """A record, its verbatim line (with LF) and where that line ends."""

    record: Record
    raw: bytes
    chain: str
    end: int  # offset after the line, in its (uncompressed) segment


class Torn(Exception):
    """The rest of the active segment, from `offset` on, is no record and none follows: a write that was cut short."""

    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(f"{path}: incomplete from byte {offset} on: {reason}")
        self.path, self.offset, self.reason = path, offset, reason


def read_lines(
    source: BinaryIO, path: str, header: Header, *, offset: int, sequence: int, chain: str | None
) -> Iterator[Line]:
    """The lines of an open segment that stands at `offset`, just after the record `sequence` with the hash `chain`.

    With `chain` None the first line's own hash is believed. Raises LogDamaged; raises Torn when what remains can
    only be the remnant of the last append.
    """
    while raw := source.readline():
        if raw.startswith(b"#"):
            if not raw.endswith(b"\n"):
                raise Torn(path, offset, "a header without its end")
            offset += len(raw)
            continue
        try:
            if not raw.endswith(b"\n"):
                raise InvalidRecord("no line end")
            record, this = decode(raw[:-1], chain, header.epoch)
            if record.sequence != sequence + 1 or record.node != header.node:
                raise InvalidRecord(f"{record.node} {record.sequence} where {header.node} {sequence + 1} has to come")
        except InvalidRecord as error:
            if _valid_line_follows(source, header):
                raise LogDamaged(path, offset, str(error)) from None
            raise Torn(path, offset, str(error)) from None
        offset += len(raw)
        sequence, chain = record.sequence, this
        yield Line(record, raw, this, offset)


def _valid_line_follows(source: BinaryIO, header: Header) -> bool:
    for raw in source:
        try:
            record, _ = decode(raw.removesuffix(b"\n"), None)
        except InvalidRecord:
            continue
        if raw.endswith(b"\n") and record.node == header.node:
            return True
    return False


def read_stream(active: str, epoch: str, after: int) -> Iterator[Line]:
    """Every line of a stream whose sequence is greater than `after`, over all of its segments.

    The end of the active segment may be under way: a torn end ends the reading. Raises LogDamaged, also when
    a segment is missing; `after` must not lie before what is kept (see `oldest`).
    """
    files = segments(active, epoch)
    begin = max((i for i, one in enumerate(files) if one.first <= after + 1), default=0)
    for segment in files[begin:]:
        try:
            for line in _read_segment(segment, after):
                if line.record.sequence != after + 1:
                    raise LogDamaged(segment.path, line.end - len(line.raw), f"record {after + 1} is missing")
                after = line.record.sequence
                yield line
        except FileNotFoundError:
            # closed or compressed since it was listed: its successor's name leads to the same records
            yield from read_stream(active, epoch, after)
            return
        except Torn as torn:
            if segment is not files[-1]:
                raise LogDamaged(torn.path, torn.offset, torn.reason) from None
            return


def _read_segment(segment: Segment, after: int) -> Iterator[Line]:
    header, offset = read_header(segment.path)
    if header.first != segment.first:  # rotated between the listing and now
        raise FileNotFoundError(segment.path)
    with open_segment(segment.path) as source:
        sequence, chain = header.first - 1, None if after >= header.first else header.chain
        if chain is None and not segment.compressed:
            # begin one line early: its hash is what the first wanted line continues
            offset = seek_sequence(source, os.fstat(source.fileno()).st_size, offset, after)
            sequence = after - 1
        if not segment.compressed:
            source.seek(offset)
        else:
            source.read(offset)
            if after > sequence:  # it cannot be sought in: pass over lines without decoding them
                offset, chain = skip_lines(source, offset, after)
                sequence = after
        for line in read_lines(source, segment.path, header, offset=offset, sequence=sequence, chain=chain):
            if line.record.sequence > after:
                yield line


def oldest(active: str, epoch: str) -> int | None:
    """The first sequence that the stream's files still hold; None when there are none."""
    files = segments(active, epoch)
    return files[0].first if files else None


def tail(path: str, window: int = 10_240) -> tuple[Header, Line | None, int]:
    """The header, the last valid line and the size of an active segment, from its last `window` bytes.

    The chain is checked within the window. A line longer than the window widens it. Raises Torn and LogDamaged.
    """
    header, start = read_header(path)
    with open(path, "rb") as source:
        size = os.fstat(source.fileno()).st_size
        while True:
            begin = max(start, size - window)
            source.seek(begin)
            if begin > start:
                source.readline()
            at = source.tell()
            last = None
            first = source.readline()
            source.seek(at)
            sequence, chain = (header.first - 1, header.chain) if begin == start else (_before(first), None)
            if first.endswith(b"\n") or begin == start:
                for line in read_lines(source, path, header, offset=at, sequence=sequence, chain=chain):
                    last = line
                return header, last, size
            window *= 8


def _before(line: bytes) -> int:
    try:
        return decode(line[:-1], None)[0].sequence - 1
    except InvalidRecord:
        return -1
