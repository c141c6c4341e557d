r"""A record is a line: the format, and nothing but the format.

    PUT \t node \t sequence \t ms \t bucket \t key \t size \t etag \t {json} \t chain \n

The first eight fields are the specification's; unused ones are left out from the right. The JSON object holds what
`apply` needs besides; the chain hash covers the line and its predecessor. docs/wal-format.md specifies it for
readers in other languages.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ironbucket.clock import Stamp

PUT = "PUT"
DELETE = "DELETE"
CREATE_BUCKET = "CREATE_BUCKET"
DELETE_BUCKET = "DELETE_BUCKET"
UPDATE_METADATA = "UPDATE_METADATA"
DELETE_METADATA = "DELETE_METADATA"
OPERATIONS = frozenset({PUT, DELETE, CREATE_BUCKET, DELETE_BUCKET, UPDATE_METADATA, DELETE_METADATA})

#: hexadecimal digits of a chain hash: SHA-256, cut to 128 bits
CHAIN_LENGTH = 32
NO_CHAIN = "0" * CHAIN_LENGTH

_SPECIAL = re.compile("[\\\\\t\n\r\0]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
_UNESCAPES = {escaped[1]: plain for plain, escaped in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class InvalidRecord(ValueError):
    """The line is not a record, or not the successor of the one before it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One change, made by one node. Identified by (node, epoch, sequence)."""

    operation: str
    node: str
    sequence: int
    ms: int
    bucket: str
    key: str | None = None
    size: int | None = None
    etag: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    epoch: str = ""  # from the segment's header, not in the line

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.ms, self.attributes.get("logical", 0), self.node, self.epoch)

    @property
    def version(self) -> str:
        """The id of what this record writes: of a version, of a deletion."""
        return str(self.attributes.get("version", ""))


def escape(text: str) -> str:
    r"""TAB, LF, CR, NUL and backslash as \t, \n, \r, \0 and \\."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text) if _SPECIAL.search(text) else text


def unescape(text: str) -> str:
    """The inverse of `escape`. Raises InvalidRecord for an escape that `escape` does not make."""
    if "\\" not in text:
        return text
    try:
        return _ESCAPED.sub(lambda match: _UNESCAPES[match[1]], text)
    except KeyError as error:
        raise InvalidRecord(f"unknown escape \\{error.args[0]}") from None


def chain_hash(previous: str, covered: bytes) -> str:
    """The chain hash of a line: `covered` is all of it up to and including the TAB before the hash."""
    return hashlib.sha256(previous.encode("ascii") + covered).hexdigest()[:CHAIN_LENGTH]


def epoch_chain(epoch: str, parent_chain: str) -> str:
    """What the first line of an epoch chains to: the epoch's name and the chain it continues."""
    return chain_hash(parent_chain, epoch.encode("ascii"))


def encode(record: Record, previous: str) -> tuple[bytes, str]:
    """The line of `record` (with its LF) and its chain hash, `previous` being its predecessor's."""
    fields = [record.operation, record.node, str(record.sequence), str(record.ms), record.bucket]
    if record.key is not None:
        fields.append(record.key)
        if record.size is not None and record.etag is not None:
            fields.append(str(record.size))
            fields.append(record.etag)
    fields.append(_encode_json(record.attributes))
    covered = ("\t".join(map(escape, fields)) + "\t").encode("utf-8", "surrogatepass")
    chain = chain_hash(previous, covered)
    return covered + chain.encode("ascii") + b"\n", chain


def decode(line: bytes, previous: str | None, epoch: str = "") -> tuple[Record, str]:
    """The record in `line` (without its LF) and its chain hash.

    With `previous` None the chain is not checked. Raises InvalidRecord.
    """
    covered, tab, tail = line.rpartition(b"\t")
    chain = tail.decode("ascii", "replace")
    if not tab or len(chain) != CHAIN_LENGTH:
        raise InvalidRecord("no chain hash")
    if previous is not None and chain_hash(previous, covered + tab) != chain:
        raise InvalidRecord("the chain hash does not match: this line or its predecessor is not what was written")
    try:
        fields = [unescape(part) for part in covered.decode("utf-8", "surrogatepass").split("\t")]
    except UnicodeDecodeError:
        raise InvalidRecord("not UTF-8") from None
    return _record(fields, epoch), chain


def _record(fields: list[str], epoch: str) -> Record:
    if len(fields) not in (6, 7, 9) or fields[0] not in OPERATIONS:
        raise InvalidRecord(f"not an operation with its fields: {fields[0][:40]!r} and {len(fields) - 1} more")
    try:
        attributes = json.loads(fields[-1])
    except ValueError:
        raise InvalidRecord("the JSON field is not JSON") from None
    if not isinstance(attributes, dict):
        raise InvalidRecord("the JSON field is not an object")
    whole = len(fields) == 9
    return Record(
        operation=fields[0],
        node=fields[1],
        sequence=_number(fields[2]),
        ms=_number(fields[3]),
        bucket=fields[4],
        key=fields[5] if len(fields) > 6 else None,
        size=_number(fields[6]) if whole else None,
        etag=fields[7] if whole else None,
        attributes=attributes,
        epoch=epoch,
    )


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidRecord(f"not a number: {text[:40]!r}")
    return int(text)
