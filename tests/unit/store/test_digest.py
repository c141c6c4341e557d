"""Digests are equal for what is equal, and different for whatever a client can see."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Expected
from ironbucket.node.objects import bytes_body
from ironbucket.store import digest
from ironbucket.store.digest import NOTHING

OWNER = "0" * 64


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    settings = Settings(storage_path=str(tmp_path / "s3"), wal_path=str(tmp_path / "wal" / "wal.log"))
    Node.prepare(settings)
    node = Node.open(settings)
    node.buckets.create("photos", OWNER)
    yield node
    node.close()


def put(node: Node, key: str, data: bytes = b"x") -> None:
    node.objects.put("photos", key, bytes_body(data), Expected(), Attributes(owner=OWNER))


def of(node: Node, key: str) -> tuple[str, str]:
    with digest.snapshot(node.index) as connection:
        shown = digest.of_key(node.index, connection, "photos", key)
        assert dict(digest.of_keys(node.index, connection, "photos")).get(key, NOTHING) == shown
        return shown, digest.state(node.index, connection, "photos", key)


def test_every_change_changes_the_digest(node: Node) -> None:
    seen = {of(node, "a")}
    put(node, "a")
    seen.add(of(node, "a"))
    node.objects.update("photos", "a", None, "tags", {"b": "c"})
    seen.add(of(node, "a"))
    node.buckets.configure("photos", "versioning", "Enabled")
    put(node, "a")
    seen.add(of(node, "a"))
    node.objects.delete("photos", "a")
    seen.add(of(node, "a"))
    assert len({shown for shown, _ in seen}) == len({state for _, state in seen}) == 5


def test_a_tombstone_is_not_shown_but_is_state(node: Node) -> None:
    before = of(node, "a")
    put(node, "a")
    node.objects.delete("photos", "a")
    after = of(node, "a")
    assert before[0] == after[0] == NOTHING
    assert before[1] != after[1]


def test_the_order_of_metadata_does_not_count(node: Node) -> None:
    put(node, "a")
    node.objects.update("photos", "a", None, "tags", {"b": "c"})
    before = of(node, "a")
    (text,) = node.index.writer.execute("SELECT attributes FROM objects").fetchone()
    import json

    turned = json.dumps(dict(reversed(json.loads(text).items())))
    assert turned != text
    node.index.writer.execute("UPDATE objects SET attributes = ?", (turned,))
    assert of(node, "a") == before


def test_ranges_are_open_below_and_closed_above(node: Node) -> None:
    for key in ("a", "b", "c"):
        put(node, key)

    def keys(after: str, until: str | None) -> list[str]:
        with digest.snapshot(node.index) as connection:
            found = [key for key, _ in digest.of_keys(node.index, connection, "photos", after, until)]
            assert digest.of_range(node.index, connection, "photos", after, until)[1] == len(found)
            return found

    assert keys("", None) == ["a", "b", "c"]
    assert keys("a", "b") == ["b"]
    assert keys("c", None) == []
    with digest.snapshot(node.index) as connection:
        assert digest.of_range(node.index, connection, "none", "", None) == (NOTHING, 0)


def test_a_bucket_and_its_configuration(node: Node) -> None:
    from ironbucket.store import buckets

    def shown() -> str:
        with digest.snapshot(node.index) as connection:
            return digest.of_bucket(connection, buckets.load(connection, "photos"))

    seen = [shown()]
    node.buckets.configure("photos", "versioning", "Enabled")
    seen.append(shown())
    node.buckets.delete("photos")
    seen.append(shown())
    assert len(set(seen)) == 3
    assert seen[-1] == NOTHING
