"""The receiving side of `ironbucket verify`: what this node holds, as digests, each with the vector it was taken at.

    POST digest   {"ask": "buckets", "after"}                     {"buckets": {name: digest}, "next"}
                  {"ask": "ranges", "bucket", "ranges"}           {"digests": [[digest, keys], ...]}
                  {"ask": "keys", "bucket", "after", "until"}     {"keys": {key: digest}, "next"}
                  {"ask": "named", "bucket", "keys"}              {"keys": {key: digest}}
                  {"ask": "entries", "bucket", "key"}             {"entries": [...]}, the newest of them
                  {"ask": "parts", "bucket", "key", "version", "after"}    {"parts": [...], "next"}
                  {"ask": "chain", "stream", "sequence"}          {"chain": hash, or "" when the log is not kept so far}

Every answer also has "vector". Ranges are (after, until], until null: to the end. Answers stay below half a megabyte.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ironbucket.node import heads
from ironbucket.node.heads import LogFiles
from ironbucket.store import buckets, digest
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version
from ironbucket.wal.reader import oldest, read_stream

if TYPE_CHECKING:
    from ironbucket.node.node import Node

Vector = dict[str, list[Any]]
Json = dict[str, Any]

_PAGE = 500  # buckets, keys or parts in one answer
_MOST_BYTES = 400_000
_MOST_RANGES = 64
MOST_ENTRIES = 5


def answer(node: Node, body: bytes) -> tuple[int, Json]:
    """The answer to a question, 400 for one that is not understood."""
    try:
        question = json.loads(body)
        handler = _ASKED[question["ask"]]
        with digest.snapshot(node.index) as connection:
            return 200, {"vector": vector(connection), **handler(node, connection, question)}
    except (ValueError, KeyError, TypeError) as error:
        return 400, {"code": "BadQuestion", "message": f"{type(error).__name__}: {error}"}


def vector(connection: sqlite3.Connection) -> Vector:
    """How far each log is applied in the index: "node/epoch" -> [sequence, chain hash]."""
    return {
        f"{head.node}/{head.epoch}": [head.sequence, head.chain] for head in heads.load_all(connection) if head.sequence
    }


def chain_at(files: LogFiles, stream: str, sequence: int) -> str:
    """The chain hash of a record, "" when the logs do not hold it (any more)."""
    node, _, epoch = stream.partition("/")
    path = files.active_path(node, epoch)
    kept = oldest(path, epoch)
    if kept is None or not kept <= sequence:
        return ""
    line = next(read_stream(path, epoch, sequence - 1), None)
    return line.chain if line is not None and line.record.sequence == sequence else ""


def _buckets(_: Node, connection: sqlite3.Connection, question: Mapping[str, Any]) -> Json:
    found, last = bucket_page(connection, question.get("after", ""), _PAGE)
    return {"buckets": found, "next": last}


def bucket_page(connection: sqlite3.Connection, after: str, limit: int) -> tuple[dict[str, str], str | None]:
    """(name -> digest) of the next existing buckets, and the name to go on after, None at the end."""
    found: dict[str, str] = {}
    for row in buckets.scan(connection, after=after):
        if len(found) == limit:
            return found, max(found)
        value = digest.of_bucket(connection, row)
        if value != digest.NOTHING:
            found[row.name] = value
    return found, None


def _ranges(node: Node, connection: sqlite3.Connection, question: Mapping[str, Any]) -> Json:
    asked = question["ranges"][:_MOST_RANGES]
    found = [digest.of_range(node.index, connection, question["bucket"], after, until) for after, until in asked]
    return {"digests": [list(one) for one in found]}


def _keys(node: Node, connection: sqlite3.Connection, question: Mapping[str, Any]) -> Json:
    found: dict[str, str] = {}
    room = _MOST_BYTES
    for key, value in digest.of_keys(node.index, connection, question["bucket"], question["after"], question["until"]):
        if len(found) == _PAGE or room < 0:
            return {"keys": found, "next": next(reversed(found))}
        found[key] = value
        room -= 6 * len(key)  # as JSON may have to write it
    return {"keys": found, "next": None}


def _named(node: Node, connection: sqlite3.Connection, question: Mapping[str, Any]) -> Json:
    return {"keys": named(node.index, connection, question["bucket"], question["keys"][:_PAGE])}


def named(index: Index, connection: sqlite3.Connection, bucket: str, names: list[str]) -> dict[str, str]:
    """Key -> digest."""
    return {name: digest.of_key(index, connection, bucket, name) for name in names}


def _entries(node: Node, connection: sqlite3.Connection, question: Mapping[str, Any]) -> Json:
    found = digest.entries(node.index, connection, question["bucket"], question["key"])
    return {"entries": [shown(one) for one in found[:MOST_ENTRIES]]}


def shown(version: Version) -> Json:
    """A version or delete marker, for a person who has to see in what two nodes differ."""
    return {
        "version": version.version,
        "kind": version.kind.value,
        "stamp": list(version.stamp),
        "size": version.size,
        "etag": version.etag,
    }


def _parts(node: Node, connection: sqlite3.Connection, question: Mapping[str, Any]) -> Json:
    known = digest.entries(node.index, connection, question["bucket"], question["key"])
    version = {one.version: one for one in known if one.kind is Kind.OBJECT}[question["version"]]
    parts = [part for part in node.payloads.parts(version) if part.number > question["after"]]
    page = parts[:_PAGE]
    return {"parts": [asdict(part) for part in page], "next": page[-1].number if len(parts) > _PAGE else None}


def _chain(node: Node, _: sqlite3.Connection, question: Mapping[str, Any]) -> Json:
    return {"chain": chain_at(node.files, str(question["stream"]), int(question["sequence"]))}


_ASKED = {
    "buckets": _buckets,
    "ranges": _ranges,
    "keys": _keys,
    "named": _named,
    "entries": _entries,
    "parts": _parts,
    "chain": _chain,
}
