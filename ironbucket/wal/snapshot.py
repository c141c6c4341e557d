"""A snapshot is a compacted log: one line for each thing that there is, in the log's own format, in one file.

    snapshot-1759184567899.log.zst

    # ironbucket-snapshot=1 TAB {"node": ..., "ms": ..., "clock": [ms, logical], "vector": {"node/epoch": [n, chain]}}
    CREATE_BUCKET ...                     a bucket
    PUT ...                               the entries of its keys, in byte order of the keys
    # conflict TAB [...]                  rows of the ledger
    # end TAB lines TAB SHA-256           of all that comes before this line

It stands for all records up to the vector: with the logs from there on it makes the whole state. The chain of its
lines begins at 32 zeros. docs/wal-format-snapshots.md specifies it for readers in other languages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ironbucket import failpoints, fsutil
from ironbucket.errors import LogDamaged
from ironbucket.wal.record import NO_CHAIN, InvalidRecord, Record, decode, encode
from ironbucket.wal.segment import open_segment

FORMAT_VERSION = 1
_NAME = re.compile(r"snapshot-(\d{13,})\.log\.zst")
_HEADER = re.compile(rb"# ironbucket-snapshot=(\d+)\t(\{.*\})\n", re.DOTALL)
_LEVEL = 3

Position = tuple[int, str]  # sequence, chain hash


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """Of whom, when, and the position of every log that it contains the records of."""

    node: str
    ms: int
    clock: tuple[int, int]  # (ms, logical): no record in it has a later stamp
    vector: Mapping[str, Position]  # "node/epoch" -> position

    def encode(self) -> bytes:
        document = {"node": self.node, "ms": self.ms, "clock": self.clock, "vector": self.vector}
        return b"# ironbucket-snapshot=%d\t%s\n" % (FORMAT_VERSION, _compact(document).encode())

    @staticmethod
    def decode(line: bytes) -> SnapshotHeader:
        """Raises ValueError when the line is not a header that this version can read."""
        match = _HEADER.fullmatch(line)
        if match is None:
            raise ValueError("no header of a snapshot")
        if int(match[1]) != FORMAT_VERSION:
            raise ValueError(f"written in format {int(match[1])}, which this version cannot read")
        document = json.loads(match[2])
        try:
            clock = (int(document["clock"][0]), int(document["clock"][1]))
            vector = {stream: (int(n), str(chain)) for stream, (n, chain) in document["vector"].items()}
            return SnapshotHeader(str(document["node"]), int(document["ms"]), clock, vector)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"the header lacks {error}") from None


@dataclass(frozen=True, slots=True)
class Note:
    """A line for IronBucket alone: a row of a table that is no entry of a key."""

    name: str
    values: list[Any] = field(default_factory=list)


def write(directory: str, header: SnapshotHeader, items: Iterable[Record | Note]) -> str:
    """Write a snapshot, durably, and return its path. Raises OSError; then nothing of it stays."""
    import zstandard

    path = os.path.join(directory, f"snapshot-{header.ms:013d}.log.zst")
    temporary = path + ".tmp"
    digest, count, chain = hashlib.sha256(), 0, NO_CHAIN
    try:
        with open(temporary, "wb") as target:
            compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
            with compressor.stream_writer(target, closefd=False) as writer:

                def put(line: bytes) -> None:
                    digest.update(line)
                    writer.write(line)

                put(header.encode())
                for item in items:
                    if isinstance(item, Record):
                        line, chain = encode(item, chain)
                    else:
                        line = f"# {item.name}\t{_compact(item.values)}\n".encode("utf-8", "surrogatepass")
                    put(line)
                    count += 1
                    failpoints.hit("snapshot-line")
                writer.write(b"# end\t%d\t%s\n" % (count, digest.hexdigest().encode()))
            target.flush()
            os.fsync(target.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    fsutil.sync_directory(directory)
    return path


def read_header(path: str) -> SnapshotHeader:
    """Raises LogDamaged, FileNotFoundError."""
    with open_segment(path) as source:
        return _decode_header(path, source.readline())


def read(path: str) -> Iterator[Record | Note]:
    """The lines after the header. Raises LogDamaged, at the latest at the end when anything is missing or changed."""
    with open_segment(path) as source:
        first = source.readline()
        _decode_header(path, first)
        digest, count, chain, offset = hashlib.sha256(first), 0, NO_CHAIN, len(first)
        for raw in source:
            if raw.startswith(b"# end\t"):
                if raw != b"# end\t%d\t%s\n" % (count, digest.hexdigest().encode()):
                    raise LogDamaged(path, offset, "what was read is not what the end of the snapshot speaks of")
                return
            item: Record | Note
            try:
                if raw.startswith(b"#"):
                    item = _note(raw)
                else:
                    item, chain = decode(raw.removesuffix(b"\n"), chain)
            except InvalidRecord as error:
                raise LogDamaged(path, offset, str(error)) from None
            yield item
            digest.update(raw)
            count, offset = count + 1, offset + len(raw)
    raise LogDamaged(path, offset, "the end of the snapshot is missing")


def stored(directory: str) -> list[str]:
    """The complete snapshots in a directory, the newest first."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = [(int(match[1]), name) for name in names if (match := _NAME.fullmatch(name))]
    return [os.path.join(directory, name) for _, name in sorted(found, reverse=True)]


def remove_remnants(directory: str) -> None:
    """Remove what a writer that was stopped has left. Nothing else may write a snapshot here meanwhile."""
    for name in os.listdir(directory):
        if _NAME.fullmatch(name.removesuffix(".tmp")) and name.endswith(".tmp"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def _decode_header(path: str, line: bytes) -> SnapshotHeader:
    try:
        return SnapshotHeader.decode(line)
    except ValueError as error:
        raise LogDamaged(path, 0, str(error)) from None


def _note(raw: bytes) -> Note:
    name, _, values = raw[2:-1].partition(b"\t")
    try:
        return Note(name.decode(), json.loads(values.decode("utf-8", "surrogatepass")))
    except ValueError:
        raise InvalidRecord("neither a record nor a note") from None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
