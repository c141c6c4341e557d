"""The format of a range of a node's state: entries as lines of a snapshot, with small payloads in it.

# ironbucket-range=1 TAB {"session": ..., "after": hex, "upto": hex or null, "vector": {...}, "clock": [...]}
CREATE_BUCKET ...                       the bucket
PUT ...                                 entries of its keys in (after, upto]; the chain begins at 32 zeros
# payload TAB 1024                      as in a batch (ironbucket.replication.wire); without it, the peer has it
# end TAB 2                             the number of lines
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

from ironbucket.node import entries
from ironbucket.node.join import Range
from ironbucket.replication import wire
from ironbucket.replication.wire import CorruptBatch, Entry
from ironbucket.wal.reader import Line
from ironbucket.wal.record import CREATE_BUCKET, NO_CHAIN, InvalidRecord, Record, decode
from ironbucket.wal.record import encode as encode_record

_HEADER = b"# ironbucket-range=1\t"


def encode(part: Range, payloads: Iterable[tuple[Record, bytes | str | None]]) -> bytes:
    """A range; `payloads` are its entries' lines, each with its payload, SENT, GONE, or None."""
    document = {
        "session": part.session,
        "after": part.after.hex(),
        "upto": None if part.upto is None else part.upto.hex(),
        "vector": part.vector,
        "clock": part.clock,
    }
    out = io.BytesIO()
    out.write(_HEADER + json.dumps(document).encode() + b"\n")
    line, chain = encode_record(entries.record_of_bucket(part.bucket), NO_CHAIN)
    out.write(line)
    count = 1
    for record, payload in payloads:
        line, chain = encode_record(record, chain)
        out.write(line)
        wire.write_payload(out, payload)
        count += 1
    out.write(b"# end\t%d\n" % count)
    return out.getvalue()


def parse(body: bytes) -> tuple[Range, list[Entry]]:
    """A range, and its lines with what came with each. Raises CorruptBatch."""
    source = io.BytesIO(body)
    first = source.readline()
    if not first.startswith(_HEADER):
        raise CorruptBatch("no header of a range")
    lines: list[Entry] = []
    chain = NO_CHAIN
    try:
        document = json.loads(first[len(_HEADER) :])
        while raw := source.readline():
            if raw.startswith(b"# end\t"):
                if raw != b"# end\t%d\n" % len(lines):
                    break
                return _range(document, [entry.line.record for entry in lines]), lines[1:]
            if raw.startswith(b"# payload\t"):
                wire.attach(lines, raw[10:-1], source)
            else:
                record, chain = decode(raw.removesuffix(b"\n"), chain)
                lines.append(Entry(Line(record, raw, chain, 0)))
    except (InvalidRecord, KeyError, TypeError, ValueError) as error:
        raise CorruptBatch(f"not a range: {error}") from None
    raise CorruptBatch("the range was cut short")


def _range(document: dict[str, Any], records: list[Record]) -> Range:
    if not records or records[0].operation != CREATE_BUCKET:
        raise CorruptBatch("a range without its bucket")
    bucket = entries.bucket_of(records[0])
    found = [entries.entry_of(record) for record in records[1:]]
    if any(entry.bucket != bucket.name for entry in found):
        raise CorruptBatch("a range of two buckets")
    return Range(
        session=str(document["session"]),
        bucket=bucket,
        after=bytes.fromhex(document["after"]),
        upto=None if document["upto"] is None else bytes.fromhex(document["upto"]),
        entries=found,
        vector={str(stream): int(sequence) for stream, sequence in document["vector"].items()},
        clock=(int(document["clock"][0]), int(document["clock"][1])),
    )
