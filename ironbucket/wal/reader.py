"""Reading a stream: records in order, every chain hash checked, from any sequence on.

A reader never returns a line that it could not prove to be what was written: it stops, with the byte offset.
What may be torn is only the end of the active segment; `Torn` says where, and that no whole line follows.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ironbucket.errors import LogDamaged
from ironbucket.wal.record import InvalidRecord, Record, decode
from ironbucket.wal.segment import (
    Header,
    Segment,
    is_closed,
    open_segment,
    read_header,
    seek_sequence,
    segments,
    skip_lines,
)


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
        if not raw.endswith(b"\n"):  # the end of the file, so nothing can follow: it may just be growing
            raise Torn(path, offset, "no line end")
        try:
            record, this = decode(raw[:-1], chain, header.epoch)
            if record.sequence != sequence + 1 or record.node != header.node:
                raise InvalidRecord(f"{record.node} {record.sequence} where {header.node} {sequence + 1} has to come")
        except InvalidRecord as error:
            if _is_record(raw) or any(map(_is_record, source)):
                raise LogDamaged(path, offset, str(error)) from None
            raise Torn(path, offset, str(error)) from None
        offset += len(raw)
        sequence, chain = record.sequence, this
        yield Line(record, raw, this, offset)


def _is_record(raw: bytes) -> bool:
    """Whether a line is whole, in or out of its place: then it is no remnant of an append."""
    try:
        decode(raw.removesuffix(b"\n"), None)
    except InvalidRecord:
        return False
    return raw.endswith(b"\n")


def read_stream(active: str, epoch: str, after: int) -> Iterator[Line]:
    """Every line of a stream whose sequence is greater than `after`, over all of its segments.

    The end of the active segment may be under way: a torn end ends the reading. What the index has not applied yet may
    still be taken back: who passes lines on stops at the index's head. Raises LogDamaged, also when a segment is
    missing; `after` must not lie before what is kept (see `oldest`).
    """
    files = segments(active, epoch)
    begin = max((i for i, one in enumerate(files) if one.first <= after + 1), default=0)
    chain = None
    for segment in files[begin:]:
        try:
            for line in _read_segment(segment, after, chain):
                if line.record.sequence != after + 1:
                    raise LogDamaged(segment.path, line.end - len(line.raw), f"record {after + 1} is missing")
                after, chain = line.record.sequence, line.chain
                yield line
        except _Moved:
            # closed or compressed since it was listed: its successor's name leads to the same records
            yield from read_stream(active, epoch, after)
            return
        except Torn as torn:
            if segment is not files[-1]:
                raise LogDamaged(torn.path, torn.offset, torn.reason) from None
            return


class _Moved(Exception):
    """The segment is under another name by now."""


def _read_segment(segment: Segment, after: int, before: str | None = None) -> Iterator[Line]:
    """The lines after `after`; `before` is the chain hash of the segment before this one, where it is known."""
    try:
        header, offset = read_header(segment.path)
    except FileNotFoundError:
        raise _Moved from None
    if (header.epoch, header.first) != (segment.epoch, segment.first):
        if is_closed(segment.path):
            raise LogDamaged(segment.path, 0, "the header is not the one that the file's name promises")
        raise _Moved
    if before is not None and header.first == after + 1 and header.chain != before:
        raise LogDamaged(segment.path, 0, "the header does not continue the segment before")
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(open_segment(segment.path))
        except FileNotFoundError:
            raise _Moved from None
        chain: str | None = header.chain
        start, sequence = offset, header.first - 1
        if segment.compressed:
            source.read(offset)
            if after > sequence:  # it cannot be sought in: pass over lines without decoding them
                offset, chain = skip_lines(source, offset, after)
                sequence = after
        else:
            if after >= header.first:  # begin one line early: its hash is what the first wanted line continues
                offset = seek_sequence(source, os.fstat(source.fileno()).st_size, start, after)
            if offset != start:
                sequence, chain = after - 1, None
            source.seek(offset)
        for line in read_lines(source, segment.path, header, offset=offset, sequence=sequence, chain=chain):
            if line.record.sequence > after:
                yield line


def chain_at(active: str, epoch: str, sequence: int) -> str | None:
    """The chain hash of the record `sequence`; None when the stream's files do not hold it. Raises LogDamaged."""
    for segment in reversed(segments(active, epoch)):
        try:
            if segment.first == sequence + 1:
                return read_header(segment.path)[0].chain
            if segment.first <= sequence:
                return next((line.chain for line in _read_segment(segment, sequence - 1)), None)
        except (_Moved, FileNotFoundError):
            return chain_at(active, epoch, sequence)
        except Torn:
            return None
    return None


def oldest(active: str, epoch: str) -> int | None:
    """The first sequence that the stream's files still hold; None when there are none."""
    files = segments(active, epoch)
    return files[0].first if files else None


def tail(path: str, window: int = 10_240) -> tuple[Header, Line | None, int]:
    """The header, the last valid line and the size of a plain segment, from its last `window` bytes.

    The chain is checked within the window, which grows until it holds the last line and the one before it.
    Raises FileNotFoundError, Torn and LogDamaged.
    """
    header, start = read_header(path)
    with open(path, "rb") as source:
        size = os.fstat(source.fileno()).st_size
        while True:
            begin = max(start, size - window)
            lines = _window(source, path, header, begin, start)
            if lines is not None and (len(lines) > 1 or begin == start):
                return header, lines[-1] if lines else None, size
            window *= 8


def _window(source: BinaryIO, path: str, header: Header, begin: int, start: int) -> list[Line] | None:
    """The last two lines among those that start after `begin`; None when not one whole line does."""
    source.seek(begin)
    if begin == start:
        return _last_two(read_lines(source, path, header, offset=start, sequence=header.first - 1, chain=header.chain))
    source.readline()  # the rest of the line that the window begins in
    at = source.tell()
    first = source.readline()
    try:
        sequence = decode(first.removesuffix(b"\n"), None)[0].sequence
    except InvalidRecord:
        return None  # torn, damaged, or longer than the window: a larger one shows which
    source.seek(at)
    return _last_two(read_lines(source, path, header, offset=at, sequence=sequence - 1, chain=None))


def _last_two(lines: Iterator[Line]) -> list[Line]:
    return list(deque(lines, maxlen=2))


def last_line(segment: Segment) -> tuple[Header, Line | None]:
    """The header and the last line of a closed segment. Raises LogDamaged, also when its end is torn."""
    try:
        if not segment.compressed:
            header, last, _ = tail(segment.path)
            return header, last
        header, start = read_header(segment.path)
        with open_segment(segment.path) as source:
            source.read(start)
            lines = read_lines(
                source, segment.path, header, offset=start, sequence=header.first - 1, chain=header.chain
            )
            two = _last_two(lines)
            return header, two[-1] if two else None
    except Torn as torn:
        raise LogDamaged(torn.path, torn.offset, torn.reason) from None
