"""Object lock: which versions may be neither removed nor overwritten, and what may change about that. Pure rules.

A lock is two attributes of a version: `retention` ({"mode": "GOVERNANCE" or "COMPLIANCE", "until": Unix milliseconds})
and `legal_hold` (true). Whoever is about to make a record that would remove a version asks here first, under the log's
lock; a record that exists was allowed by the node that made it.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ironbucket.errors import AccessDenied, InvalidRequest
from ironbucket.store.keys import State
from ironbucket.store.model import Bucket, Kind, Version

RETENTION, LEGAL_HOLD = "retention", "legal_hold"
GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"

_DAY = 86_400_000  # milliseconds
_YEAR = 365 * _DAY


def check_removal(version: Version, now: int, *, bypass: bool = False) -> None:
    """Raise AccessDenied for a version that is locked at `now`. `bypass` undoes GOVERNANCE, and nothing else."""
    if version.attributes.get(LEGAL_HOLD):
        raise _protected()
    retention = _in_force(version, now)
    if retention and not (bypass and retention["mode"] == GOVERNANCE):
        raise _protected()


def check_overwriting(state: State, now: int) -> None:
    """Raise AccessDenied when the null version, which a null write would replace, is locked."""
    for entry in state:
        if entry.null and entry.kind is Kind.OBJECT:
            check_removal(entry, now)


def check_update(bucket: Bucket, version: Version, kind: str, value: Any, now: int, *, bypass: bool = False) -> None:
    """Raise InvalidRequest in a bucket without locks, AccessDenied for a change that would weaken a lock."""
    if kind not in (RETENTION, LEGAL_HOLD):
        return
    check_bucket(bucket)
    old = _in_force(version, now)
    if kind == LEGAL_HOLD or not old:
        return
    kept = value is not None and value["mode"] == old["mode"] and value["until"] >= old["until"]
    if not kept and not (bypass and old["mode"] == GOVERNANCE):
        raise _protected()


def check_bucket(bucket: Bucket) -> None:
    """Raise InvalidRequest for a bucket whose versions cannot be locked."""
    if not bucket.locks:
        raise InvalidRequest("Bucket is missing Object Lock Configuration")


def placed(bucket: Bucket, attributes: Mapping[str, Any], now: int) -> dict[str, Any]:
    """What a new version of `attributes` carries of a lock: its own, or the bucket's default. Raises InvalidRequest."""
    if RETENTION in attributes or LEGAL_HOLD in attributes:
        check_bucket(bucket)
    if RETENTION in attributes or not bucket.locks:
        return {}
    default = bucket.configuration["object-lock"]
    if "mode" not in default:
        return {}
    period = default["days"] * _DAY if "days" in default else default["years"] * _YEAR
    return {RETENTION: {"mode": default["mode"], "until": now + period}}


def _in_force(version: Version, now: int) -> Mapping[str, Any] | None:
    retention: Mapping[str, Any] | None = version.attributes.get(RETENTION)
    return retention if retention and retention["until"] > now else None


def _protected() -> AccessDenied:
    return AccessDenied("Access Denied because object protected by object lock.")
