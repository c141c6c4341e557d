"""A segment is a file of lines under one header. Names, headers, finding the right one.

A stream is the log of one epoch of one node. Its last segment is the active one, under a fixed name; the closed
ones carry the epoch and their first sequence in their names, so that ``ls`` shows them in order:

    wal.log                                            the active segment of this node
    wal-19c2a7d0e11f-00000000000000000001.log.zst      closed and compressed
    peers/node-2/19c2a7d0f3aa.log                      the active segment of a copy of node-2's log
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from ironbucket.errors import LogDamaged

FORMAT_VERSION = 1
_HEADER = re.compile(
    rb"# ironbucket-wal=(\d+)\tnode=([^\t]+)\tepoch=([0-9a-z]+)\tfirst=(\d+)\tchain=([0-9a-f]{32})"
    rb"(?:\tparent=([0-9a-z]+)/(\d+))?"
)
_CLOSED = re.compile(r"(?:wal-)?([0-9a-z]+)-(\d{20})\.log(\.zst)?")
_HEADER_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a segment."""

    node: str
    epoch: str
    first: int  # the sequence of the first record that follows
    chain: str  # what that record chains to
    parent_epoch: str = ""  # of an epoch that continues another: that epoch ...
    parent_sequence: int = 0  # ... and the last sequence taken from it

    @property
    def begins(self) -> bool:
        """Whether nothing of this stream comes before this segment."""
        return self.first == 1 or (self.parent_epoch != "" and self.first == self.parent_sequence + 1)

    def encode(self) -> bytes:
        text = (
            f"# ironbucket-wal={FORMAT_VERSION}\tnode={self.node}\tepoch={self.epoch}"
            f"\tfirst={self.first}\tchain={self.chain}"
        )
        if self.parent_epoch:
            text += f"\tparent={self.parent_epoch}/{self.parent_sequence}"
        return text.encode() + b"\n"

    @staticmethod
    def decode(line: bytes) -> Header:
        """Raises ValueError when the line is not a header that this version can read."""
        match = _HEADER.fullmatch(line[:-1]) if line.endswith(b"\n") else None
        if match is None:
            raise ValueError("no segment header")
        if int(match[1]) != FORMAT_VERSION:
            raise ValueError(f"written in format {int(match[1])}, which this version cannot read")
        return Header(
            node=match[2].decode(),
            epoch=match[3].decode(),
            first=int(match[4]),
            chain=match[5].decode(),
            parent_epoch=(match[6] or b"").decode(),
            parent_sequence=int(match[7] or 0),
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of a stream."""

    path: str
    epoch: str
    first: int

    @property
    def compressed(self) -> bool:
        return self.path.endswith(".zst")


def closed_name(active: str, epoch: str, first: int) -> str:
    """Where the active segment goes when it is closed."""
    prefix = "wal-" if os.path.basename(active) != f"{epoch}.log" else ""
    return os.path.join(os.path.dirname(active), f"{prefix}{epoch}-{first:020d}.log")


def is_closed(path: str) -> bool:
    """Whether a file's name is that of a closed segment."""
    return _CLOSED.fullmatch(os.path.basename(path)) is not None


def read_header(path: str) -> tuple[Header, int]:
    """The header of a segment and its length in bytes. Raises LogDamaged, FileNotFoundError."""
    with open_segment(path) as source:
        line = source.readline(_HEADER_LIMIT)
    try:
        return Header.decode(line), len(line)
    except ValueError as error:
        raise LogDamaged(path, 0, str(error)) from None


def segments(active: str, epoch: str) -> list[Segment]:
    """The segments of one stream, oldest first; the active one, if it is there, last. Raises LogDamaged."""
    # The active segment is looked at before the directory: a rotation in between then shows one file under two names,
    # and never leaves one out.
    header = None
    with suppress(FileNotFoundError):
        if os.path.getsize(active):  # an empty file was put in its place by hand: see `stream.resume`
            header, _ = read_header(active)
    found = {segment.first: segment for segment in closed_segments(os.path.dirname(active), epoch)}
    if header is not None and header.epoch == epoch:
        found[header.first] = Segment(active, epoch, header.first)
    return [found[first] for first in sorted(found)]


def closed_segments(directory: str, epoch: str) -> list[Segment]:
    """The closed segments of one stream, oldest first."""
    found: dict[int, Segment] = {}
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    for name in names:
        match = _CLOSED.fullmatch(name)
        if match and match[1] == epoch:
            first = int(match[2])
            if first not in found or not match[3]:  # both while it is being compressed: the plain one is whole
                found[first] = Segment(os.path.join(directory, name), epoch, first)
    return [found[first] for first in sorted(found)]


@contextmanager
def open_segment(path: str) -> Iterator[BinaryIO]:
    """A segment for reading from its start, decompressed when it is closed and compressed. Raises LogDamaged."""
    with open(path, "rb") as source:
        if path.endswith(".zst"):
            import zstandard  # only old segments need it

            try:
                with zstandard.ZstdDecompressor().stream_reader(source) as plain:
                    yield io.BufferedReader(plain, 1 << 16)
            except zstandard.ZstdError as error:
                raise LogDamaged(path, 0, f"it cannot be decompressed: {error}") from None
        else:
            yield source


def seek_sequence(source: BinaryIO, size: int, start: int, sequence: int) -> int:
    """The offset of the record `sequence`, or of the first after it, in a plain segment: O(log n) reads.

    `start` is the offset of the first record. Lines are self-describing, so any LF is a place to begin. Where a line
    on the way is no record the answer is `start`: whoever reads on from there meets the damage and can say where it is.
    """
    try:
        return _bisect(source, size, start, sequence)
    except ValueError:
        return start


def _bisect(source: BinaryIO, size: int, start: int, sequence: int) -> int:
    low, high = start, size  # the answer lies in [low, high]; both are starts of lines (or the end)
    while low < high:
        middle = (low + high) // 2
        source.seek(middle)
        if middle > low:
            source.readline()  # the rest of the line that `middle` fell into
        at = source.tell()
        line = source.readline()
        if at >= high or not line.endswith(b"\n"):
            # no line starts in (middle, high): walk from low, it is one line or two
            return _walk(source, low, high, sequence)
        if _sequence_of(line) < sequence:
            low = at + len(line)
        else:
            high = at
    return low


def skip_lines(source: BinaryIO, offset: int, sequence: int) -> tuple[int, str]:
    """Pass over the lines up to the record `sequence`: the offset after it, and its chain hash, which is believed."""
    chain = b""
    for raw in source:
        offset += len(raw)
        if not raw.startswith(b"#") and _sequence_of(raw) >= sequence:
            chain = raw[:-1].rpartition(b"\t")[2]
            break
    return offset, chain.decode("ascii", "replace")


def _walk(source: BinaryIO, low: int, high: int, sequence: int) -> int:
    source.seek(low)
    while low < high:
        line = source.readline()
        if not line.endswith(b"\n") or _sequence_of(line) >= sequence:
            break
        low += len(line)
    return low


def _sequence_of(line: bytes) -> int:
    """Raises ValueError when the line is no record."""
    fields = line.split(b"\t", 3)
    if len(fields) < 4:
        raise ValueError("not a record")
    return int(fields[2])
