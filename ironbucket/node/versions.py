"""Which entry of a key a request means, and what must hold of it."""

from __future__ import annotations

from typing import Any

from ironbucket.errors import MethodNotAllowed, NoSuchKey, NoSuchVersion, PreconditionFailed
from ironbucket.node.body import Conditions
from ironbucket.store import keys
from ironbucket.store.model import Kind, Version


def find(state: keys.State, version_id: str) -> Version | None:
    """The live version or delete marker that S3 calls `version_id`."""
    for one in state:
        if one.kind in (Kind.OBJECT, Kind.DELETE_MARKER) and one.version_id == version_id:
            return one
    return None


def find_readable(state: keys.State, version_id: str | None) -> Version | None:
    """The current entry, or the named one."""
    return keys.current(state) if version_id is None else find(state, version_id)


def readable(state: keys.State, key: str, version_id: str | None) -> Version:
    """The current version, or the named one. Raises NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker)."""
    found = find_readable(state, version_id)
    if found is None:
        if version_id is not None:
            raise NoSuchVersion(Key=key, VersionId=version_id)
        raise NoSuchKey(Key=key)
    if found.kind is Kind.DELETE_MARKER:
        details = {"delete_marker": "true", "version_id": found.version_id}
        if version_id is None:
            raise NoSuchKey(Key=key, **details)
        raise MethodNotAllowed(
            Method="GET",
            ResourceType="DeleteMarker",
            last_modified_ms=str(found.modified_ms),
            allow="DELETE",
            **details,
        )
    return found


def replaced(state: keys.State) -> dict[str, Any]:
    """The attribute of a null write that names what it replaces."""
    holder = next((one for one in state if one.null and one.kind is not Kind.PENDING), None)
    return {"replaced": holder.version} if holder is not None else {}


def check_conditions(conditions: Conditions, met: Version | None, key: str) -> None:
    """Raises PreconditionFailed, or NoSuchKey where a key has to be there."""
    here = met if met is not None and met.kind is Kind.OBJECT else None
    if conditions.if_match is not None:
        if here is None:
            raise NoSuchKey(Key=key)
        if conditions.if_match not in ("*", here.etag):
            raise PreconditionFailed(Condition="If-Match")
    if conditions.if_none_match is not None and here is not None and conditions.if_none_match in ("*", here.etag):
        raise PreconditionFailed(Condition="If-None-Match")
    if conditions.if_match_size is not None and (here is None or here.size != conditions.if_match_size):
        raise PreconditionFailed(Condition="x-amz-if-match-size")
    if conditions.if_match_last_modified is not None and (
        here is None or here.stamp.ms // 1000 != conditions.if_match_last_modified // 1000
    ):
        raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")
