"""Finding the lines that name a key, newest first, without decoding the others: logs are searched as bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ironbucket.wal.record import InvalidRecord, Record, decode, escape
from ironbucket.wal.segment import Segment, open_segment, read_header

_BLOCK = 4 << 20


@dataclass(slots=True)
class Searched:
    """How much was looked at, in bytes as they are on disk."""

    total: int = 0
    done: int = 0

    @property
    def complete(self) -> bool:
        return self.done >= self.total


def find(
    segments: list[Segment], bucket: str, key: str, most_bytes: int, searched: Searched, tell: Callable[[], object]
) -> Iterator[Record]:
    """The records of `key` in the segments, which are given newest first, each from its end.

    Stops before a segment once `most_bytes` were read. `tell` is called now and then; `searched` says how far it is.
    Chains are not checked.
    """
    needle = "".join(f"\t{escape(part)}" for part in (bucket, key)).encode("utf-8", "surrogatepass") + b"\t"
    sizes = {segment.path: _size(segment.path) for segment in segments}
    searched.total = sum(sizes.values())
    for segment in segments:
        if searched.done >= most_bytes:
            return
        try:
            header, _ = read_header(segment.path)
            for raw in _forwards(segment, needle) if segment.compressed else _backwards(segment.path, needle):
                record = _decoded(raw, header.epoch)
                if record is not None and (record.bucket, record.key) == (bucket, key):
                    yield record
        except FileNotFoundError:
            pass  # compressed or removed since it was listed
        searched.done += sizes[segment.path]
        tell()


def _decoded(raw: bytes, epoch: str) -> Record | None:
    try:
        return decode(raw, None, epoch)[0]
    except InvalidRecord:
        return None  # the end of an active segment, being written


def _backwards(path: str, needle: bytes) -> Iterator[bytes]:
    with open(path, "rb") as source:
        end, rest = os.fstat(source.fileno()).st_size, b""
        while end > 0:
            start = max(0, end - _BLOCK)
            block = os.pread(source.fileno(), end - start, start) + rest
            # what comes before the first line end belongs to a line that begins in the block before
            cut = block.find(b"\n") + 1 if start else 0
            rest, block = (block[:cut], block[cut:]) if cut or not start else (block, b"")
            yield from reversed(_matches(block, needle))
            end = start


def _forwards(segment: Segment, needle: bytes) -> list[bytes]:
    found: list[bytes] = []
    with open_segment(segment.path) as source:
        rest = b""
        while block := source.read(_BLOCK):
            block = rest + block
            cut = block.rfind(b"\n") + 1
            found += _matches(block[:cut], needle)
            rest = block[cut:]
    found.reverse()
    return found


def _matches(block: bytes, needle: bytes) -> list[bytes]:
    """The lines with `needle`, in order, without their line ends."""
    found = []
    at = block.find(needle)
    while at >= 0:
        begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
        end = len(block) if end < 0 else end
        found.append(block[begin:end])
        at = block.find(needle, end)
    return found


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
