"""The lifecycle at work: one pass over the buckets that have rules.

A pass reads a bucket in pages and asks `ironbucket.node.lifecycle` about each key; what that finds is decided again
under the log's lock, so that neither a write that comes meanwhile nor a locked version is lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ironbucket.clock import wall_ms
from ironbucket.errors import AccessDenied, NoSuchUpload
from ironbucket.node import deletion, lifecycle, locks
from ironbucket.node.buckets import existing
from ironbucket.node.lifecycle import Action, Decision, Rule
from ironbucket.store import keys
from ironbucket.store.keys import State
from ironbucket.store.model import Bucket, Kind, Version
from ironbucket.store.scan import states

if TYPE_CHECKING:
    from ironbucket.node.commit import Transaction
    from ironbucket.node.node import Node

_PAGE = 1000  # keys read at once
_GROUP = 100  # keys changed in one commit


@dataclass(frozen=True, slots=True)
class Expired:
    """Something that a pass did, or with a dry run would do."""

    action: str
    bucket: str
    key: str
    version_id: str  # of the version, or the upload's id
    rule: str
    size: int  # bytes


def run(node: Node, now: int, *, dry_run: bool = False, objects: bool = True) -> Iterator[Expired]:
    """One pass at `now` (Unix milliseconds). Without `objects` only over incomplete uploads: each node has its own.

    It reports each thing once it is done. Nothing is done after the caller stops to ask.
    """
    for bucket in node.buckets.list():
        rules = [rule for rule in bucket.configuration.get("lifecycle", ()) if rule["enabled"]]
        if not rules:
            continue
        yield from _uploads(node, bucket, rules, now, dry_run)
        if objects:
            yield from _objects(node, bucket, rules, now, dry_run)


def _uploads(node: Node, bucket: Bucket, rules: Sequence[Rule], now: int, dry_run: bool) -> Iterator[Expired]:
    for upload in node.uploads.in_progress(bucket.name):
        rule = lifecycle.aborts(rules, upload, now)
        if rule is None:
            continue
        if not dry_run:
            try:
                node.uploads.abort(bucket.name, upload.key, upload.upload_id)
            except NoSuchUpload:  # completed or aborted meanwhile
                continue
        yield Expired(Action.ABORT.value, bucket.name, upload.key, upload.upload_id, rule, 0)


def _objects(node: Node, bucket: Bucket, rules: Sequence[Rule], now: int, dry_run: bool) -> Iterator[Expired]:
    due: list[str] = []
    number = node.buckets.number(bucket.name)
    for key, state in _scan(node, number, bucket.name, rules):
        found = _unlocked(bucket, lifecycle.decide(rules, live(state), now), state)
        if dry_run:
            yield from _report(found)
        elif found:
            due.append(keys.decode_key(key))
        if len(due) == _GROUP:
            yield from _report(node.committer.submit(partial(_carry_out, name=bucket.name, due=due, now=now)))
            due = []
    if due:
        yield from _report(node.committer.submit(partial(_carry_out, name=bucket.name, due=due, now=now)))


def _scan(node: Node, number: int, bucket: str, rules: Sequence[Rule]) -> Iterator[tuple[bytes, State]]:
    """The keys that a rule may speak of, in pages, so that no reading transaction stays open."""
    prefixes = [rule["filter"].get("prefix", "") for rule in rules]
    prefix = keys.encode_key(os.path.commonprefix(prefixes))  # noqa: RUF071 - keys, not paths
    after = prefix[:-1]
    while True:
        page = list(islice(states(node.index, node.index.reader, number, bucket, after), _PAGE))
        for key, state in page:
            if key.startswith(prefix):
                yield key, state
            elif key > prefix:
                return
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def live(state: State) -> list[Version]:
    """What a listing of versions shows of a key, newest first."""
    found = [one for one in state if one.kind in (Kind.OBJECT, Kind.DELETE_MARKER)]
    return sorted(found, key=lambda one: one.stamp, reverse=True)


def _carry_out(transaction: Transaction, name: str, due: Sequence[str], now: int) -> list[Decision]:
    """Decide again, with the configuration and the versions as they are now, and record it."""
    row = existing(transaction.connection, name)
    bucket = row.bucket()
    done: list[Decision] = []
    for key in due:
        state = transaction.state(row, key)
        for decision in _unlocked(bucket, lifecycle.decide(_rules(bucket), live(state), now), state):
            if decision.action is Action.EXPIRE:
                deletion.expire(transaction, row, state, decision.version)
            else:
                deletion.remove(transaction, row, decision.version, expired=True)
            done.append(decision)
    return done


def _rules(bucket: Bucket) -> Any:
    return bucket.configuration.get("lifecycle", ())


def _unlocked(bucket: Bucket, decisions: list[Decision], state: State) -> list[Decision]:
    """Those that no lock forbids. A delete marker over a locked version is allowed: it removes nothing."""
    now, allowed = wall_ms(), []
    for decision in decisions:
        try:
            if decision.action is not Action.EXPIRE or not bucket.versioning:
                locks.check_removal(decision.version, now)
            elif bucket.versioning != "Enabled":
                locks.check_overwriting(state, now)
        except AccessDenied:
            continue
        allowed.append(decision)
    return allowed


def _report(decisions: Sequence[Decision]) -> Iterator[Expired]:
    for one in decisions:
        version = one.version
        yield Expired(one.action.value, version.bucket, version.key, version.version_id, one.rule, version.size)
