"""Quotas and the counters behind them: exact after any history, before and after the index is made again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ironbucket.errors import QuotaExceeded
from ironbucket.node import Node
from ironbucket.node.recover import recover
from ironbucket.store import usage
from tests.unit.node.opened import OWNER, opened, put, settings_in


def held(node: Node, bucket: str = "box") -> tuple[int, int]:
    return usage.of(node.index.reader, node.buckets.number(bucket))


def a_history(node: Node) -> None:
    node.buckets.create("box", OWNER)
    put(node, "box", "a", b"12345")
    put(node, "box", "a", b"123")
    put(node, "box", "gone", b"1")
    node.objects.delete("box", "gone")
    node.buckets.configure("box", "versioning", "Enabled")
    put(node, "box", "a", b"1234567")
    node.objects.delete("box", "a")
    removed = put(node, "box", "b", b"12")
    node.objects.delete("box", "b", removed)


def test_usage_is_exact_also_after_a_recovery(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with opened(settings) as node:
        a_history(node)
        assert held(node) == (2, 10)
    recover(settings)
    with opened(settings) as node:
        assert held(node) == (2, 10)


def test_an_older_index_is_counted_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with opened(settings) as node:
        a_history(node)
        path = node.index.path
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TABLE usage; PRAGMA user_version = 1;")
    connection.close()
    with opened(settings) as node:
        assert held(node) == (2, 10)
        put(node, "box", "c", b"1")
        assert held(node) == (3, 11)


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
def test_a_quota_is_kept_exactly(tmp_path: Path, versioning: str) -> None:
    with opened(settings_in(tmp_path)) as node:
        node.buckets.create("box", OWNER)
        if versioning:
            node.buckets.configure("box", "versioning", versioning)
        put(node, "box", "a", b"12345")
        node.buckets.configure("box", "quota", {"bytes": 10, "objects": 2})
        put(node, "box", "b", b"12345")
        before = held(node)
        for key, data in (("c", b""), ("c", b"1"), ("d", b"x" * 11)):
            with pytest.raises(QuotaExceeded):
                put(node, "box", key, data)
        assert held(node) == before == (2, 10)
        if versioning == "Enabled":
            with pytest.raises(QuotaExceeded):
                put(node, "box", "a", b"1")
        else:
            put(node, "box", "a", b"1")
            assert held(node) == (2, 6)
        node.buckets.configure("box", "quota", {"bytes": 1})
        assert node.objects.get("box", "b").size == 5
        node.objects.delete("box", "b")
        node.buckets.configure("box", "quota", None)
        put(node, "box", "e", b"x" * 100)


def test_a_copy_and_an_upload_count_too(tmp_path: Path) -> None:
    from ironbucket.node.body import Attributes, Expected
    from tests.unit.node.opened import Bytes

    with opened(settings_in(tmp_path)) as node:
        node.buckets.create("box", OWNER)
        put(node, "box", "a", b"123456")
        node.buckets.configure("box", "quota", {"bytes": 10})
        attributes: Any = Attributes(owner=OWNER)
        with pytest.raises(QuotaExceeded):
            node.objects.copy(node.objects.get("box", "a"), "box", "b", attributes)
        upload = node.uploads.create("box", "m", attributes).upload_id
        part = node.uploads.put_part("box", "m", upload, 1, Bytes(b"12345"), Expected())
        with pytest.raises(QuotaExceeded):
            node.uploads.complete("box", "m", upload, [(1, part.etag, {})])
        node.objects.delete("box", "a")
        assert node.uploads.complete("box", "m", upload, [(1, part.etag, {})]).size == 5
