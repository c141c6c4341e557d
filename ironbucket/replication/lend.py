"""Objects for peers that have not received them yet: what this node itself holds, and only that.

GET object?bucket&key[&version_id][&version][&payload]     the version, as JSON
GET bucket?bucket                                             the bucket, as JSON
GET bytes?bucket&key&version&start&length                  its bytes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ironbucket.clock import Stamp
from ironbucket.errors import S3Error
from ironbucket.replication.fetch import document
from ironbucket.store import buckets, keys
from ironbucket.store.model import Kind, Version
from ironbucket.store.paths import is_version
from ironbucket.store.payloads import Payload

if TYPE_CHECKING:
    from ironbucket.node.node import Node

Answer = tuple[int, "dict[str, Any] | Payload"]
_ABSENT = 404, {"code": "NotFound", "message": "not here"}


def get_object(node: Node, query: Mapping[str, str]) -> Answer:
    """A version that is here: the current one, one by S3's version id, or one by its own id."""
    found = _find(node, query)
    if found is None:
        return _ABSENT
    if query.get("payload"):
        try:
            node.objects.local_payload(found).close()
        except S3Error:
            return _ABSENT
    return 200, document(found)


def get_bucket(node: Node, query: Mapping[str, str]) -> Answer:
    """A bucket that exists here."""
    try:
        found = node.buckets.get(query["bucket"])
    except S3Error:
        return _ABSENT
    return 200, {"created": list(found.created), "owner": found.owner, "configuration": dict(found.configuration)}


def get_bytes(node: Node, query: Mapping[str, str]) -> Answer:
    """The bytes of a version that is here."""
    found = _find(node, query)
    if found is None:
        return _ABSENT
    try:
        return 200, node.objects.local_payload(found, int(query["start"]), int(query["length"]))
    except S3Error:
        return _ABSENT


def _find(node: Node, query: Mapping[str, str]) -> Version | None:
    connection = node.index.reader
    row = buckets.load(connection, query["bucket"])
    if row is None:
        return None
    state = keys.load(node.index, connection, row.number, query["bucket"], query["key"])
    live = [one for one in state if one.kind is Kind.OBJECT]
    if "version" in query:
        return next((one for one in live if one.version == query["version"]), None) or _replaced(query)
    if "version_id" in query:
        return next((one for one in live if one.version_id == query["version_id"]), None)
    current = keys.current(state)
    return current if current is not None and current.kind is Kind.OBJECT else None


def _replaced(query: Mapping[str, str]) -> Version | None:
    """A version that the asking node holds to be live, and this one has replaced: its payload is kept for a while."""
    if not is_version(query["version"]) or "size" not in query:
        return None
    return Version(
        query["bucket"],
        query["key"],
        query["version"],
        True,
        Kind.OBJECT,
        Stamp(0, 0, "", ""),
        int(query["size"]),
        "",
        {"parts": int(query.get("parts", "0"))},
    )
