"""Object lock: the bucket's configuration, and retention and legal hold of a version, in headers and documents.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html,
API_PutObjectRetention.html, API_PutObjectLegalHold.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ironbucket.clock import wall_ms
from ironbucket.errors import (
    InvalidArgument,
    InvalidBucketState,
    InvalidRequest,
    MalformedXML,
    NoSuchObjectLockConfiguration,
    ObjectLockConfigurationNotFoundError,
)
from ironbucket.node.locks import COMPLIANCE, GOVERNANCE, LEGAL_HOLD, RETENTION, check_bucket
from ironbucket.s3.authorise import authorise
from ironbucket.s3.call import Call
from ironbucket.s3.object_get import requested_version
from ironbucket.s3.response import Response, empty, iso_date, version_headers, xml
from ironbucket.s3.xml import Element, Writer
from ironbucket.store.model import Bucket, Version

MODES = (GOVERNANCE, COMPLIANCE)
MAX_DAYS, MAX_YEARS = 36_500, 100

_MODE = "x-amz-object-lock-mode"
_UNTIL = "x-amz-object-lock-retain-until-date"
_HOLD = "x-amz-object-lock-legal-hold"
_BYPASS = "x-amz-bypass-governance-retention"
_DIGESTS = ("content-md5", "x-amz-sdk-checksum-algorithm", "x-amz-trailer")


# -- the bucket -------------------------------------------------------------------------------------------------------


def get_configuration(call: Call) -> Response:
    """GetObjectLockConfiguration."""
    bucket = call.node.buckets.get(call.bucket)
    if not bucket.locks:
        raise ObjectLockConfigurationNotFoundError(BucketName=call.bucket)
    default = bucket.configuration["object-lock"]
    writer = Writer("ObjectLockConfiguration")
    writer.leaf("ObjectLockEnabled", "Enabled")
    if "mode" in default:
        writer.open("Rule")
        writer.open("DefaultRetention")
        writer.leaf("Mode", default["mode"])
        if "days" in default:
            writer.leaf("Days", default["days"])
        else:
            writer.leaf("Years", default["years"])
    return xml(writer)


def put_configuration(call: Call) -> Response:
    """PutObjectLockConfiguration: it needs versioning, and cannot be undone; the default retention can."""
    value = _configuration(call.document("ObjectLockConfiguration"))
    call.node.buckets.configure(call.bucket, "object-lock", value, _needs_versioning)
    return empty(200)


def _needs_versioning(bucket: Bucket) -> None:
    if bucket.versioning != "Enabled":
        raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")


def _configuration(document: Element) -> dict[str, Any]:
    if document.value("ObjectLockEnabled").strip() != "Enabled":
        raise MalformedXML
    value: dict[str, Any] = {"enabled": True}
    rule = document.find("Rule")
    if rule is None:
        return value
    default = rule.find("DefaultRetention")
    if default is None:
        raise MalformedXML
    mode = default.value("Mode").strip()
    periods = [one for one in default if one.name in ("Days", "Years")]
    if mode not in MODES or len(periods) != 1:
        raise MalformedXML
    (period,) = periods
    return {**value, "mode": mode, period.name.lower(): _period(period)}


def _period(element: Element) -> int:
    text = element.text.strip()
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 10:
        raise MalformedXML
    number = int(text)
    if number <= 0:
        raise InvalidArgument("Default retention period must be a positive integer value.")
    if number > (MAX_DAYS if element.name == "Days" else MAX_YEARS):
        raise InvalidArgument(
            f"Default retention period too large, the maximum is {MAX_DAYS} days or {MAX_YEARS} years."
        )
    return number


# -- a write's headers ------------------------------------------------------------------------------------------------


def of_write(headers: Mapping[str, str], *, digest: bool = False) -> dict[str, Any]:
    """The lock that a write asks for, as attributes. `digest`: the body must come with one, as PutObject asks.

    Raises InvalidArgument, InvalidRequest.
    """
    mode, until, hold = headers.get(_MODE), headers.get(_UNTIL), headers.get(_HOLD)
    if mode is None and until is None and hold is None:
        return {}
    found: dict[str, Any] = {}
    if mode is not None or until is not None:
        if mode is None or until is None:
            raise InvalidArgument(
                f"{_UNTIL} and {_MODE} must both be supplied",
                ArgumentName=_MODE if mode is None else _UNTIL,
            )
        if mode not in MODES:
            raise InvalidArgument("Unknown wormMode directive.", ArgumentName=_MODE, ArgumentValue=mode)
        found[RETENTION] = {"mode": mode, "until": _future(until)}
    if hold not in (None, "ON", "OFF"):
        raise InvalidArgument("Legal hold must be either of 'ON' or 'OFF'", ArgumentName=_HOLD, ArgumentValue=str(hold))
    if hold is not None:
        found[LEGAL_HOLD] = hold == "ON"
    if digest and not any(name in _DIGESTS or name.startswith("x-amz-checksum-") for name in headers):
        raise InvalidRequest(
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        )
    return found


def _future(text: str) -> int:
    """An ISO 8601 moment in the future, as Unix milliseconds. Raises InvalidArgument."""
    try:
        moment = datetime.fromisoformat(text.strip())
        ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InvalidArgument(
            "The retain until date must be provided in ISO 8601 format", ArgumentName=_UNTIL, ArgumentValue=text
        ) from None
    if ms <= wall_ms():
        raise InvalidArgument("The retain until date must be in the future!", ArgumentName=_UNTIL, ArgumentValue=text)
    return ms


def bypass(call: Call, key: str) -> bool:
    """Whether the request wants to pass over GOVERNANCE, and may. Raises AccessDenied."""
    if call.header(_BYPASS).lower() != "true":
        return False
    authorise(call.request, "s3:BypassGovernanceRetention", call.bucket, key)
    return True


# -- a version --------------------------------------------------------------------------------------------------------


def get_retention(call: Call) -> Response:
    """GetObjectRetention."""
    version = _version(call)
    retention = version.attributes.get(RETENTION)
    if not retention:
        raise NoSuchObjectLockConfiguration
    writer = Writer("Retention")
    writer.leaf("Mode", retention["mode"])
    writer.leaf("RetainUntilDate", iso_date(retention["until"]))
    return xml(writer, version_headers(version))


def put_retention(call: Call) -> Response:
    """PutObjectRetention. An empty document removes what may be removed."""
    document = call.document("Retention")
    check_bucket(call.node.buckets.get(call.bucket))
    value = None
    if document.children:
        mode, until = document.value("Mode").strip(), document.value("RetainUntilDate")
        if mode not in MODES:
            raise MalformedXML
        value = {"mode": mode, "until": _future(until)}
    return _update(call, RETENTION, value, may_bypass=bypass(call, call.key))


def get_legal_hold(call: Call) -> Response:
    """GetObjectLegalHold."""
    version = _version(call)
    if LEGAL_HOLD not in version.attributes:
        raise NoSuchObjectLockConfiguration
    writer = Writer("LegalHold")
    writer.leaf("Status", "ON" if version.attributes[LEGAL_HOLD] else "OFF")
    return xml(writer, version_headers(version))


def put_legal_hold(call: Call) -> Response:
    """PutObjectLegalHold."""
    document = call.document("LegalHold")
    check_bucket(call.node.buckets.get(call.bucket))
    status = document.value("Status").strip()
    if status not in ("ON", "OFF"):
        raise MalformedXML
    return _update(call, LEGAL_HOLD, status == "ON", may_bypass=False)


def _update(call: Call, kind: str, value: Any, *, may_bypass: bool) -> Response:
    version = call.node.objects.update(call.bucket, call.key, requested_version(call), kind, value, bypass=may_bypass)
    return empty(200, version_headers(version))


def _version(call: Call) -> Version:
    check_bucket(call.node.buckets.get(call.bucket))
    return call.node.objects.get(call.bucket, call.key, requested_version(call))
