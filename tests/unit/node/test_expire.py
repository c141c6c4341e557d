"""Passes of the lifecycle on a real node: what goes, what stays, and what a newer write makes of it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from ironbucket.clock import Stamp, wall_ms
from ironbucket.errors import AccessDenied, NoSuchKey
from ironbucket.node import Node, expire
from ironbucket.node.body import Attributes
from ironbucket.node.merge import merge
from ironbucket.store import keys
from ironbucket.store.model import Kind
from ironbucket.wal.record import DELETE, PUT, Record
from tests.unit.node.opened import OWNER, opened, put, settings_in

DAY = 86_400_000


def rule(**more: Any) -> dict[str, Any]:
    return {"id": "r", "enabled": True, "filter": {}, **more}


@pytest.fixture
def node(tmp_path: Path) -> Any:
    with opened(settings_in(tmp_path)) as node:
        node.buckets.create("box", OWNER)
        yield node


def later(days: int) -> int:
    return wall_ms() + days * DAY


def actions(node: Node, now: int, **more: Any) -> list[tuple[str, str]]:
    return [(one.action, one.key) for one in expire.run(node, now, **more)]


def versions(node: Node) -> list[tuple[str, str]]:
    return [(one.key, one.kind.value) for one in node.objects.list_versions("box").entries]  # type: ignore[union-attr]


def content(node: Node, version_id: str) -> bytes:
    with node.objects.payload(node.objects.get("box", "a", version_id)) as payload:
        return b"".join(payload)


def test_without_versioning_an_object_goes_for_good(node: Node) -> None:
    for key in ("a", "logs/1", "logs/2", "z"):
        put(node, "box", key)
    node.buckets.configure("box", "lifecycle", [rule(filter={"prefix": "logs/"}, expire_days=3)])
    assert actions(node, later(2)) == []
    assert actions(node, later(5), dry_run=True) == [("expire", "logs/1"), ("expire", "logs/2")]
    assert len(versions(node)) == 4
    assert actions(node, later(5)) == [("expire", "logs/1"), ("expire", "logs/2")]
    assert versions(node) == [("a", "object"), ("z", "object")]
    assert actions(node, later(5)) == []


def test_more_keys_than_a_page_or_a_commit(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire, "_PAGE", 3)
    monkeypatch.setattr(expire, "_GROUP", 2)
    for number in range(10):
        put(node, "box", f"k{number}")
    node.buckets.configure("box", "lifecycle", [rule(filter={"prefix": "k"}, expire_days=1)])
    assert len(actions(node, later(3))) == 10
    assert versions(node) == []


def test_with_versioning_a_marker_hides_it_and_later_all_goes(node: Node) -> None:
    node.buckets.configure("box", "versioning", "Enabled")
    put(node, "box", "a")
    node.buckets.configure("box", "lifecycle", [rule(expire_days=1, noncurrent_days=1)])
    assert actions(node, later(3)) == [("expire", "a")]
    assert versions(node) == [("a", "marker"), ("a", "object")]
    with pytest.raises(NoSuchKey):
        node.objects.get("box", "a")
    assert actions(node, later(3)) == [("remove", "a")]
    assert actions(node, later(3)) == [("remove-marker", "a")]
    assert versions(node) == []


def test_suspended_versioning(node: Node) -> None:
    put(node, "box", "a")
    node.buckets.configure("box", "versioning", "Suspended")
    node.buckets.configure("box", "lifecycle", [rule(expire_days=1)])
    assert actions(node, later(3)) == [("expire", "a")]
    assert versions(node) == [("a", "marker")]


def test_suspended_versioning_after_the_null_version_was_removed(node: Node) -> None:
    """The marker takes the null version's place, which was emptied after the current version was made."""
    node.buckets.configure("box", "versioning", "Enabled")
    put(node, "box", "a")
    node.buckets.configure("box", "versioning", "Suspended")
    put(node, "box", "a")
    node.objects.delete("box", "a", "null")
    node.buckets.configure("box", "lifecycle", [rule(expire_days=1)])
    assert actions(node, later(3)) == [("expire", "a")]
    assert versions(node) == [("a", "marker"), ("a", "object")]
    assert actions(node, later(3)) == []


def test_locked_versions_stay(node: Node) -> None:
    node.buckets.configure("box", "object-lock", {"enabled": True})
    first = put(node, "box", "a")
    node.objects.update("box", "a", first, "legal_hold", True)
    put(node, "box", "a")
    node.buckets.configure("box", "lifecycle", [rule(noncurrent_days=1)])
    assert actions(node, later(3), dry_run=True) == actions(node, later(3)) == []
    assert node.housekeeping.collect() == 0
    assert content(node, first) == b"x"
    node.objects.update("box", "a", first, "legal_hold", False)
    assert actions(node, later(3)) == [("remove", "a")]


def test_a_locked_null_version_is_not_overwritten(node: Node) -> None:
    """A lock set later covers null versions too, and what two nodes configure at once cannot undo that."""
    put(node, "box", "a", b"null")
    node.buckets.configure("box", "versioning", "Enabled")
    node.buckets.configure("box", "object-lock", {"enabled": True})
    until = later(1)
    node.objects.update("box", "a", "null", "retention", {"mode": "COMPLIANCE", "until": until})
    node.buckets.configure("box", "versioning", "Suspended")  # as a record of a peer may say
    assert node.buckets.get("box").versioning == "Enabled"
    put(node, "box", "a", b"new")
    assert content(node, "null") == b"null"
    with pytest.raises(AccessDenied):
        node.objects.delete("box", "a", "null", bypass=True)


def test_uploads_are_aborted_on_every_node(node: Node) -> None:
    upload = node.uploads.create("box", "a", Attributes(owner=OWNER))
    node.buckets.configure("box", "lifecycle", [rule(abort_days=1)])
    assert actions(node, later(1), objects=False) == []
    found = list(expire.run(node, later(3), objects=False))
    assert [(one.action, one.version_id) for one in found] == [("abort", upload.upload_id)]
    assert node.uploads.in_progress("box") == []


def test_an_expiration_loses_to_what_it_had_not_seen() -> None:
    """Whatever the order of arrival: a write newer than the expired version stays, an older one does not come back."""

    def write(version: str, ms: int) -> Record:
        return Record(PUT, "node-2", ms, ms, "b", "k", 1, "e", {"version": version}, "e")

    older, seen, newer = write("v0", 10), write("v1", 20), write("v2", 30)
    attributes = {"version": "t", "replaced": "v1", "as_of": [20, 0]}
    expired = Record(DELETE, "node-1", 1, 1000, "b", "k", attributes=attributes, epoch="e")
    for order in permutations((older, seen, newer, expired)):
        state: keys.State = ()
        for record in order:
            state = merge(state, record).state
        assert [(one.version, one.kind) for one in state] == [("v2", Kind.OBJECT)]
    for order in permutations((seen, expired, older)):
        state = ()
        for record in order:
            state = merge(state, record).state
        assert [(one.version, one.kind, one.stamp) for one in state] == [
            ("t", Kind.TOMBSTONE, Stamp(20, 1, "node-1", "e"))
        ]


def test_an_expirations_marker_stands_behind_what_it_had_not_seen() -> None:
    def write(version: str, ms: int) -> Record:
        return Record(PUT, "node-2", ms, ms, "b", "k", 1, "e", {"version": version, "versioned": True}, "e")

    attributes = {"version": "m", "versioned": True, "marker": True, "as_of": [20, 0], "made": 1000}
    expired = Record(DELETE, "node-1", 1, 1000, "b", "k", attributes=attributes, epoch="e")
    for order in permutations((write("v1", 20), write("v2", 30), expired)):
        state: keys.State = ()
        for record in order:
            state = merge(state, record).state
        assert [(one.version, one.modified_ms) for one in expire.live(state)] == [("v2", 30), ("m", 1000), ("v1", 20)]
