"""The policy document of a browser's upload: what the form may say, until when, and who signed that. Pure.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ironbucket.errors import AccessDenied, InvalidPolicyDocument

#: fields that need no condition
_FREE = frozenset(("x-amz-signature", "file", "policy"))
_FREE_PREFIX = "x-ignore-"


class Range(NamedTuple):
    """How many bytes the file may have."""

    least: int = 0
    most: int | None = None


def check(encoded: str, fields: Mapping[str, str], bucket: str, now: float) -> Range:
    """Hold a form against its policy: `fields` by lower-case name, `now` in Unix seconds.

    Returns how large the file may be. Raises InvalidPolicyDocument, and AccessDenied for what the policy forbids.
    """
    document = _decode(encoded)
    if _expiration(document) <= now:
        raise AccessDenied("Invalid according to Policy: Policy expired.")
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise InvalidPolicyDocument("Invalid Policy: Policy missing conditions.")
    values = {**fields, "bucket": bucket}
    covered = {"bucket"} if fields.get("bucket", bucket) == bucket else set()
    size = Range()
    for condition in conditions:
        for operator, name, wanted in _parsed(condition):
            if operator == "content-length-range":
                size = _range(name, wanted)
                continue
            covered.add(name)
            if not _holds(operator, values.get(name, ""), wanted, name):
                shown = json.dumps([operator, f"${name}", wanted])
                raise AccessDenied(f"Invalid according to Policy: Policy Condition failed: {shown}")
    extra = [name for name in fields if name not in covered and name not in _FREE and not name.startswith(_FREE_PREFIX)]
    if extra:
        raise AccessDenied(f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")
    return size


def _decode(encoded: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode("".join(encoded.split()), validate=True).decode())
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.") from None
    if not isinstance(document, dict):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.")
    return document


def _expiration(document: Mapping[str, Any]) -> float:
    text = document.get("expiration")
    if text is None:
        raise InvalidPolicyDocument("Invalid Policy: Policy missing expiration.")
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise InvalidPolicyDocument(f"Invalid Policy: Invalid 'expiration' value: '{text}'") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _parsed(condition: Any) -> list[tuple[str, Any, Any]]:
    """(operator, field's lower-case name, value) of each condition that one entry holds."""
    if isinstance(condition, dict) and condition and all(isinstance(value, str) for value in condition.values()):
        return [("eq", name.lower(), value) for name, value in condition.items()]
    if isinstance(condition, list) and len(condition) == 3 and isinstance(condition[0], str):
        operator = condition[0].lower()
        if operator == "content-length-range":
            return [(operator, condition[1], condition[2])]
        if (
            operator in ("eq", "starts-with")
            and all(isinstance(each, str) for each in condition[1:])
            and condition[1].startswith("$")
        ):
            return [(operator, condition[1][1:].lower(), condition[2])]
    raise InvalidPolicyDocument("Invalid Policy: Invalid Condition.")


def _holds(operator: str, value: str, wanted: str, name: str) -> bool:
    if operator == "eq":
        return value == wanted
    if name == "content-type" and "," in value:  # a list of types, each of which has to fit
        return all(each.strip().startswith(wanted) for each in value.split(","))
    return value.startswith(wanted)


def _range(least: Any, most: Any) -> Range:
    """Numbers, or text that is one."""
    try:
        low, high = int(least), int(most)
    except (TypeError, ValueError):
        raise InvalidPolicyDocument("Invalid Policy: Invalid content-length-range.") from None
    if isinstance(least, bool | float) or isinstance(most, bool | float) or not 0 <= low <= high:
        raise InvalidPolicyDocument("Invalid Policy: Invalid content-length-range.")
    return Range(low, high)
