"""Lifecycle configurations: S3's document to rules and back. What rules mean is `ironbucket.node.lifecycle`'s.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from ironbucket import errors
from ironbucket.errors import InvalidArgument, InvalidRequest, MalformedXML, NoSuchLifecycleConfiguration
from ironbucket.s3 import tags
from ironbucket.s3.call import Call
from ironbucket.s3.response import Response, empty, iso_date, xml
from ironbucket.s3.xml import Element, Writer

MAX_RULES = 1000
MAX_ID = 255
MAX_KEPT = 100  # noncurrent versions
_MAX_DOCUMENT = 2 << 20
_MAX_INT = 2**31 - 1
_DAY = 86_400_000

#: the conditions of a filter: element -> name in the rule
_SIZES = {"ObjectSizeGreaterThan": "larger", "ObjectSizeLessThan": "smaller"}
_ACTIONS = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
_TRANSITIONS = ("Transition", "NoncurrentVersionTransition")
_ELEMENTS = frozenset(("ID", "Status", "Prefix", "Filter", *_ACTIONS, *_TRANSITIONS))


def get(call: Call) -> Response:
    """GetBucketLifecycleConfiguration."""
    rules = call.node.buckets.get(call.bucket).configuration.get("lifecycle")
    if not rules:
        raise NoSuchLifecycleConfiguration(BucketName=call.bucket)
    writer = Writer("LifecycleConfiguration")
    for rule in rules:
        _write(writer, rule)
    return xml(writer)


def put(call: Call) -> Response:
    """PutBucketLifecycleConfiguration: the whole configuration is replaced."""
    rules = parse(call.document("LifecycleConfiguration", _MAX_DOCUMENT))
    call.node.buckets.configure(call.bucket, "lifecycle", rules)
    return empty(200)


def delete(call: Call) -> Response:
    """DeleteBucketLifecycle."""
    call.node.buckets.configure(call.bucket, "lifecycle", None)
    return empty(204)


# -- reading ----------------------------------------------------------------------------------------------------------


def parse(document: Element) -> list[dict[str, Any]]:
    """The rules of a document. Raises MalformedXML, InvalidArgument, InvalidRequest, NotImplemented (transitions)."""
    if not 1 <= len(document.children) <= MAX_RULES or any(one.name != "Rule" for one in document):
        raise MalformedXML
    rules = [_rule(element) for element in document]
    if len({rule["id"] for rule in rules}) != len(rules):
        raise InvalidArgument("Rule ID must be unique. Found same ID for more than one rule")
    return rules


def _rule(element: Element) -> dict[str, Any]:
    _check_names(element, _ELEMENTS, repeated=_TRANSITIONS)
    if any(element.find(name) is not None for name in _TRANSITIONS):
        raise errors.NotImplemented("Transitions between storage classes are not implemented: there is one.")
    identity = element.value("ID", "")
    if len(identity) > MAX_ID:
        raise InvalidArgument(f"ID length should not exceed allowed limit of {MAX_ID}")
    status = element.value("Status").strip()
    if status not in ("Enabled", "Disabled"):
        raise MalformedXML
    rule: dict[str, Any] = {"id": identity or secrets.token_urlsafe(36), "enabled": status == "Enabled"}
    rule["filter"] = _filter(element, rule)
    if not any(element.find(name) is not None for name in _ACTIONS):
        raise InvalidRequest("At least one action needs to be specified in a rule.")
    _expiration(element.find("Expiration"), rule)
    _noncurrent(element.find("NoncurrentVersionExpiration"), rule)
    _abort(element.find("AbortIncompleteMultipartUpload"), rule)
    return rule


def _check_names(element: Element, known: frozenset[str], repeated: tuple[str, ...] = ()) -> None:
    """Raise MalformedXML for a child that is unknown, or there twice."""
    seen = set()
    for child in element:
        if child.name not in known or (child.name in seen and child.name not in repeated):
            raise MalformedXML
        seen.add(child.name)


def _filter(element: Element, rule: dict[str, Any]) -> dict[str, Any]:
    """The conditions. `rule` notes the form in which they came, to be given back in it."""
    given, prefix = element.find("Filter"), element.find("Prefix")
    if (given is None) == (prefix is None):
        raise MalformedXML
    if given is None:
        rule["form"] = "Prefix"
        return {"prefix": prefix.text} if prefix is not None and prefix.text else {}
    conditions = given
    _check_names(given, frozenset(("Prefix", "Tag", "And", *_SIZES)))
    if len(given.children) > 1:
        raise MalformedXML
    if (both := given.find("And")) is not None:
        rule["form"] = "And"
        _check_names(both, frozenset(("Prefix", "Tag", *_SIZES)), repeated=("Tag",))
        if len(both.children) < 2:
            raise MalformedXML
        conditions = both
    found: dict[str, Any] = {}
    if prefix_text := conditions.value("Prefix", ""):
        found["prefix"] = prefix_text
    if pairs := [(tag.value("Key"), tag.value("Value")) for tag in conditions.all("Tag")]:
        found["tags"] = tags.validated(pairs)
    for name, key in _SIZES.items():
        if (size := conditions.find(name)) is not None:
            found[key] = _number(size, name, 1 if key == "smaller" else 0, 2**47)
    if "larger" in found and "smaller" in found and found["larger"] + 1 >= found["smaller"]:
        raise InvalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    return found


def _expiration(element: Element | None, rule: dict[str, Any]) -> None:
    if element is None:
        return
    if len(element.children) != 1:
        raise MalformedXML
    (only,) = element.children
    if only.name == "Days":
        rule["expire_days"] = _days(only, "'Days' for Expiration action must be a positive integer")
    elif only.name == "Date":
        rule["expire_date"] = _midnight(only.text.strip())
    elif only.name == "ExpiredObjectDeleteMarker" and only.text.strip() in ("true", "false"):
        if "tags" in rule["filter"]:
            raise InvalidRequest("ExpiredObjectDeleteMarker cannot be specified with Tags.")
        rule["expire_markers"] = only.text.strip() == "true"
    else:
        raise MalformedXML


def _noncurrent(element: Element | None, rule: dict[str, Any]) -> None:
    if element is None:
        return
    _check_names(element, frozenset(("NoncurrentDays", "NewerNoncurrentVersions")))
    days, kept = element.find("NoncurrentDays"), element.find("NewerNoncurrentVersions")
    if days is None:
        raise MalformedXML
    rule["noncurrent_days"] = _days(
        days, "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer"
    )
    if kept is not None:
        rule["noncurrent_keep"] = _number(kept, "NewerNoncurrentVersions", 1, MAX_KEPT)


def _abort(element: Element | None, rule: dict[str, Any]) -> None:
    if element is None:
        return
    _check_names(element, frozenset(("DaysAfterInitiation",)))
    days = element.find("DaysAfterInitiation")
    if days is None:
        raise MalformedXML
    if "tags" in rule["filter"]:
        raise InvalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags.")
    if rule["filter"].keys() & {"larger", "smaller"}:
        raise InvalidRequest("AbortIncompleteMultipartUpload cannot be specified with Object Size.")
    rule["abort_days"] = _days(
        days, "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer"
    )


def _days(element: Element, message: str) -> int:
    try:
        return _number(element, element.name, 1, _MAX_INT)
    except InvalidArgument:
        raise InvalidArgument(message) from None


def _number(element: Element, name: str, low: int, high: int) -> int:
    """Raises MalformedXML for what is no number, InvalidArgument for one that is out of bounds."""
    text = element.text.strip()
    if not text.isascii() or not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise MalformedXML
    if not low <= int(text) <= high:
        raise InvalidArgument(f"'{name}' must be between {low} and {high}", ArgumentName=name, ArgumentValue=text)
    return int(text)


def _midnight(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise MalformedXML from None
    if ms % _DAY:
        raise InvalidArgument("'Date' must be at midnight GMT")
    return ms


# -- writing ----------------------------------------------------------------------------------------------------------


def _write(writer: Writer, rule: dict[str, Any]) -> None:
    writer.open("Rule")
    writer.leaf("ID", rule["id"])
    if rule.get("form") == "Prefix":
        writer.leaf("Prefix", rule["filter"].get("prefix", ""))
    else:
        writer.open("Filter")
        if rule.get("form") == "And":
            writer.open("And")
        _write_conditions(writer, rule["filter"])
        if rule.get("form") == "And":
            writer.close()
        writer.close()
    writer.leaf("Status", "Enabled" if rule["enabled"] else "Disabled")
    _write_actions(writer, rule)
    writer.close()


def _write_conditions(writer: Writer, conditions: dict[str, Any]) -> None:
    if "prefix" in conditions or not conditions:
        writer.leaf("Prefix", conditions.get("prefix", ""))
    for name, value in conditions.get("tags", {}).items():
        writer.open("Tag")
        writer.leaf("Key", name)
        writer.leaf("Value", value)
        writer.close()
    for element, key in _SIZES.items():
        if key in conditions:
            writer.leaf(element, conditions[key])


def _write_actions(writer: Writer, rule: dict[str, Any]) -> None:
    if rule.keys() & {"expire_days", "expire_date", "expire_markers"}:
        writer.open("Expiration")
        if "expire_days" in rule:
            writer.leaf("Days", rule["expire_days"])
        elif "expire_date" in rule:
            writer.leaf("Date", iso_date(rule["expire_date"]))
        else:
            writer.leaf("ExpiredObjectDeleteMarker", rule["expire_markers"])
        writer.close()
    if "noncurrent_days" in rule:
        writer.open("NoncurrentVersionExpiration")
        writer.leaf("NoncurrentDays", rule["noncurrent_days"])
        if "noncurrent_keep" in rule:
            writer.leaf("NewerNoncurrentVersions", rule["noncurrent_keep"])
        writer.close()
    if "abort_days" in rule:
        writer.open("AbortIncompleteMultipartUpload")
        writer.leaf("DaysAfterInitiation", rule["abort_days"])
        writer.close()
