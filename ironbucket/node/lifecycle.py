"""Lifecycle rules: what they say about the versions of a key at a moment. Pure functions; nothing here deletes.

A configuration is a list of rules, each a JSON object:

    id, enabled
    filter            {"prefix": "", "tags": {}, "larger": bytes, "smaller": bytes}: all that are there must hold
    expire_days, expire_date (Unix milliseconds), expire_markers (true)
    noncurrent_days, noncurrent_keep
    abort_days

A period ends at the first midnight (UTC) after so many days. A rule with tags or sizes says nothing about delete
markers, which have neither.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html,
lifecycle-expire-general-considerations.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ironbucket.store.model import Kind, Upload, Version

Rule = Mapping[str, Any]

_DAY = 86_400_000  # milliseconds


class Action(Enum):
    """What becomes of an entry."""

    EXPIRE = "expire"  # the current version: a delete marker takes its place where there is versioning
    REMOVE = "remove"  # a noncurrent version, for good
    REMOVE_MARKER = "remove-marker"  # a delete marker with nothing behind it
    ABORT = "abort"  # an incomplete upload


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    version: Version
    rule: str  # id


def due(since: int, days: int) -> int:
    """When a period of `days` from `since` ends; Unix milliseconds."""
    return (since // _DAY + days + 1) * _DAY


def expiry(rules: Iterable[Rule], version: Version) -> tuple[int, str] | None:
    """When the current version `version` expires, and by which rule: the earliest."""
    found = [
        (moment, str(rule["id"]))
        for rule in rules
        if (moment := _expires(rule, version.modified_ms)) is not None and applies(rule, version)
    ]
    return min(found, default=None)


def decide(rules: Sequence[Rule], versions: Sequence[Version], now: int) -> list[Decision]:
    """What the rules say at `now` about the live versions and delete markers of one key, given newest first."""
    if not versions:
        return []
    newest, others = versions[0], versions[1:]
    decisions = []
    if newest.kind is Kind.OBJECT:
        found = expiry(rules, newest)
        if found is not None and found[0] <= now:
            decisions.append(Decision(Action.EXPIRE, newest, found[1]))
    elif not others and (remover := _removes_marker(rules, newest, now)) is not None:
        decisions.append(Decision(Action.REMOVE_MARKER, newest, remover))
    for newer, version in enumerate(others):  # `newer`: how many noncurrent ones are newer
        since = versions[newer].modified_ms  # it became noncurrent when its successor was made
        for rule in rules:
            days = rule.get("noncurrent_days")
            if (
                days is not None
                and newer >= rule.get("noncurrent_keep", 0)
                and due(since, days) <= now
                and applies(rule, version)
            ):
                decisions.append(Decision(Action.REMOVE, version, str(rule["id"])))
                break
    return decisions


def aborts(rules: Iterable[Rule], upload: Upload, now: int) -> str | None:
    """The rule that ends an incomplete upload at `now`, or None."""
    for rule in rules:
        days = rule.get("abort_days")
        in_prefix = rule["enabled"] and upload.key.startswith(rule["filter"].get("prefix", ""))
        if days is not None and in_prefix and due(upload.initiated_ms, days) <= now:
            return str(rule["id"])
    return None


def applies(rule: Rule, version: Version) -> bool:
    """Whether a rule is in force for a version or delete marker."""
    chosen = rule["filter"]
    if not rule["enabled"] or not version.key.startswith(chosen.get("prefix", "")):
        return False
    if version.kind is not Kind.OBJECT:
        return not (chosen.keys() - {"prefix"})
    tags = version.tags
    return (
        all(tags.get(name) == value for name, value in chosen.get("tags", {}).items())
        and version.size > chosen.get("larger", -1)
        and ("smaller" not in chosen or version.size < chosen["smaller"])
    )


def _expires(rule: Rule, made: int) -> int | None:
    if "expire_date" in rule:
        return int(rule["expire_date"])
    return due(made, rule["expire_days"]) if "expire_days" in rule else None


def _removes_marker(rules: Iterable[Rule], marker: Version, now: int) -> str | None:
    """The rule that removes a delete marker with nothing behind it: one that says so, or whose period is over."""
    for rule in rules:
        moment = _expires(rule, marker.modified_ms)
        if (rule.get("expire_markers") or (moment is not None and moment <= now)) and applies(rule, marker):
            return str(rule["id"])
    return None
