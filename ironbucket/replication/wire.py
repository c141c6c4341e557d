"""The format of a batch: a piece of a log, with the small payloads in it.

    # ironbucket-wal=1 TAB node=... TAB epoch=... TAB first=... TAB chain=...
    PUT ...                                 lines, verbatim
    # payload TAB 1024                      of the PUT before it, followed by that many bytes and LF
    # payload TAB sent                      it was sent before, by itself
    # payload TAB gone                      the sender has it no more: a later record has replaced it
    # end TAB 2                             the number of lines: a batch without it was cut short

Several pieces, each with its header, may follow each other before the end. Log lines never begin with ``#``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from ironbucket.store.paths import is_version
from ironbucket.wal.reader import Line
from ironbucket.wal.record import PUT, InvalidRecord, decode
from ironbucket.wal.segment import Header

GONE, SENT = "gone", "sent"
#: bytes; a batch is read into memory, so it has a bound. Larger payloads travel by themselves.
MAX_INLINE = 256 * 1024
MAX_BATCH_BYTES = 8 << 20
MAX_BODY = 64 << 20


class CorruptBatch(ValueError):
    """The batch is not what was sent."""


@dataclass(slots=True)
class Entry:
    """A line and what comes with it."""

    line: Line
    payload: bytes | str | None = None  # the bytes, SENT, GONE; None for a record without a payload


@dataclass(slots=True)
class Piece:
    """Consecutive lines of one stream."""

    header: Header
    entries: list[Entry] = field(default_factory=list)


def encode(pieces: Iterable[Piece]) -> bytes:
    """A batch."""
    out = io.BytesIO()
    count = 0
    for piece in pieces:
        out.write(piece.header.encode())
        for entry in piece.entries:
            out.write(entry.line.raw)
            write_payload(out, entry.payload)
            count += 1
    out.write(b"# end\t%d\n" % count)
    return out.getvalue()


def write_payload(out: BinaryIO, payload: bytes | str | None) -> None:
    """What comes with a line, behind it."""
    if isinstance(payload, bytes):
        out.write(b"# payload\t%d\n" % len(payload))
        out.write(payload)
        out.write(b"\n")
    elif payload is not None:
        out.write(f"# payload\t{payload}\n".encode())


def check_place(bucket: str, version: str, name: str = "") -> None:
    """Nothing a peer sends may name a path outside of the bucket's folder (a key is encoded, and cannot).

    Raises CorruptBatch.
    """
    for part in (bucket, name):
        if "/" in part or "\0" in part or part.startswith("."):
            raise CorruptBatch(f"not a name: {part[:80]!r}")
    if not bucket or not is_version(version):
        raise CorruptBatch(f"not a version of an object: {version[:80]!r}")


def parse(body: bytes) -> list[Piece]:
    """The pieces of a batch, every chain hash checked. Raises CorruptBatch."""
    pieces: list[Piece] = []
    source = io.BytesIO(body)
    count, chain, sequence = 0, "", 0
    while raw := source.readline():
        if not raw.endswith(b"\n"):
            break
        if raw.startswith(b"# end\t"):
            if raw != b"# end\t%d\n" % count:
                raise CorruptBatch(f"{count} lines arrived, but {raw[6:-1]!r} were sent")
            return pieces
        if raw.startswith(b"# payload\t"):
            attach(pieces[-1].entries if pieces else [], raw[10:-1], source)
        elif raw.startswith(b"#"):
            try:
                header = Header.decode(raw)
            except ValueError as error:
                raise CorruptBatch(str(error)) from None
            pieces.append(Piece(header))
            chain, sequence = header.chain, header.first - 1
        else:
            line = _line(pieces, raw, chain, sequence + 1)
            chain, sequence, count = line.chain, sequence + 1, count + 1
    raise CorruptBatch("the batch was cut short")


def _line(pieces: list[Piece], raw: bytes, chain: str, sequence: int) -> Line:
    if not pieces:
        raise CorruptBatch("a line without a header")
    header = pieces[-1].header
    try:
        record, this = decode(raw[:-1], chain, header.epoch)
    except InvalidRecord as error:
        raise CorruptBatch(f"record {sequence} of {header.node}: {error}") from None
    if record.sequence != sequence or record.node != header.node:
        raise CorruptBatch(f"{record.node} {record.sequence} where {header.node} {sequence} has to come")
    line = Line(record, raw, this, 0)
    pieces[-1].entries.append(Entry(line))
    return line


def attach(entries: list[Entry], what: bytes, source: BinaryIO) -> None:
    """Read what comes with the last of `entries`, of which `# payload` and a TAB have been read, and `what`."""
    if not entries or entries[-1].line.record.operation != PUT:
        raise CorruptBatch("a payload without its record")
    entry = entries[-1]
    if what in (GONE.encode(), SENT.encode()):
        entry.payload = what.decode()
        return
    if not what.isdigit() or len(what) > 8:
        raise CorruptBatch(f"a payload of {what[:40]!r} bytes")
    entry.payload = source.read(int(what))
    if len(entry.payload) != int(what) or source.read(1) != b"\n":
        raise CorruptBatch("a payload was cut short")
