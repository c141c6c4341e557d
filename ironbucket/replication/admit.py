"""What a record from a peer has to be like to be taken.

Nothing in it may name a path outside of its bucket's folder, and `apply` must find in it what it needs: a record that
failed there would fail the writes of clients that are committed with it.
"""

from __future__ import annotations

from typing import Any

from ironbucket.clock import MAX_SKEW_MS, wall_ms
from ironbucket.config import values
from ironbucket.errors import IronBucketError
from ironbucket.replication.wire import CorruptBatch
from ironbucket.store.paths import is_version
from ironbucket.store.uploads import upload_node
from ironbucket.wal.record import CREATE_BUCKET, DELETE, DELETE_METADATA, PUT, UPDATE_METADATA, Record
from ironbucket.wal.segment import Header

_LONGEST_BUCKET = 63


class Refused(IronBucketError):
    """An entry that this node does not take, and why."""

    def __init__(self, place: str, reason: str) -> None:
        """`place` is NODE/EPOCH/SEQUENCE."""
        self.place = place
        super().__init__(reason)


def place_of(record: Record) -> str:
    return f"{record.node}/{record.epoch}/{record.sequence}"


def check_header(header: Header) -> None:
    """A node's name is part of a path. Raises CorruptBatch."""
    try:
        values.node_id(header.node)
    except ValueError as error:
        raise CorruptBatch(f"not a node: {header.node[:80]!r} {error}") from None
    if len(header.epoch) > 32:
        raise CorruptBatch(f"not an epoch: {header.epoch[:80]!r}")


def check_name(name: str) -> None:
    """A bucket, or a file of a multipart payload: one name in one folder. Raises CorruptBatch."""
    if not name or len(name) > 255 or "/" in name or "\0" in name or name.startswith("."):
        raise CorruptBatch(f"not a name: {name[:80]!r}")


def check_version(version: object) -> None:
    """Raises CorruptBatch."""
    if not isinstance(version, str) or not is_version(version):
        raise CorruptBatch(f"not a version of an object: {str(version)[:80]!r}")


def check(record: Record) -> None:
    """Raises Refused."""
    ahead = record.ms - wall_ms()
    if ahead > MAX_SKEW_MS:
        raise Refused(
            place_of(record),
            f"its stamp is {ahead // 1000} s ahead of this node's clock: set the clocks right"
            " (it is offered again at each run)",
        )
    try:
        _check_fields(record)
    except CorruptBatch as error:
        raise Refused(place_of(record), str(error)) from None


def _check_fields(record: Record) -> None:
    attributes = record.attributes
    check_name(record.bucket)
    if len(record.bucket) > _LONGEST_BUCKET:
        raise CorruptBatch(f"not a bucket: {record.bucket[:80]!r}")
    _require(_is_count(attributes.get("logical", 0)), "logical")
    if record.operation in (PUT, DELETE):
        _require(record.key is not None, "key")
        if "removes" in attributes:
            check_version(attributes["removes"])
        else:
            check_version(attributes.get("version"))
    if record.operation == PUT:
        _require(record.size is not None, "size")
        _require("upload" not in attributes or upload_node(str(attributes["upload"])) is not None, "upload")
        _require(_is_count(attributes.get("parts", 0)), "parts")
    elif record.operation in (UPDATE_METADATA, DELETE_METADATA):
        _require(isinstance(attributes.get("kind"), str), "kind")
        if record.key is not None:
            check_version(attributes.get("of"))
            _require(_is_stamp(attributes.get("of_stamp")), "of_stamp")
    elif record.operation == CREATE_BUCKET:
        _require(isinstance(attributes.get("configuration", {}), dict), "configuration")


def _require(fits: bool, name: str) -> None:
    if not fits:
        raise CorruptBatch(f"its {name} is not one that this version of IronBucket knows")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_stamp(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and all(_is_count(one) for one in value[:2])
        and all(isinstance(one, str) for one in value[2:])
    )
