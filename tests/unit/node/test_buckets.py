"""Buckets: creating, deleting, configuring, listing."""

import pytest

from ironbucket.errors import BucketAlreadyExists, BucketNotEmpty, NoSuchBucket
from ironbucket.node import Node
from tests.unit.node.support import OWNER, put


def test_creating_is_idempotent_for_the_owner(node: Node) -> None:
    made = node.buckets.create("music", "me", {"acl": {"x": 1}})
    assert node.buckets.create("music", "me") == made == node.buckets.get("music")
    assert made.configuration == {"acl": {"x": 1}}
    with pytest.raises(BucketAlreadyExists):
        node.buckets.create("music", "you")


def test_only_an_empty_bucket_is_deleted(node: Node) -> None:
    put(node, "key")
    with pytest.raises(BucketNotEmpty):
        node.buckets.delete("photos")
    node.objects.delete("photos", "key")
    node.buckets.delete("photos")
    for action in (node.buckets.get, node.buckets.delete, node.buckets.number):
        with pytest.raises(NoSuchBucket):
            action("photos")
    assert node.buckets.create("photos", "another").owner == "another"
    assert node.objects.list("photos").entries == []


def test_a_delete_marker_keeps_a_bucket(node: Node) -> None:
    node.buckets.configure("photos", "versioning", "Enabled")
    marker = node.objects.delete("photos", "key")
    with pytest.raises(BucketNotEmpty):
        node.buckets.delete("photos")
    node.objects.delete("photos", "key", marker.version_id)
    node.buckets.delete("photos")


def test_configuration_does_not_outlive_the_bucket(node: Node) -> None:
    node.buckets.configure("photos", "policy", {"a": 1})
    node.buckets.configure("photos", "cors", [1])
    node.buckets.configure("photos", "cors", None)
    assert node.buckets.get("photos").configuration == {"policy": {"a": 1}}
    node.buckets.delete("photos")
    assert node.buckets.create("photos", OWNER).configuration == {}
    with pytest.raises(NoSuchBucket):
        node.buckets.configure("none", "cors", 1)


def test_buckets_are_listed_in_order(node: Node) -> None:
    for name in ("b", "a", "c", "pictures"):
        node.buckets.create(name, OWNER)
    node.buckets.delete("b")
    assert [one.name for one in node.buckets.list()] == ["a", "c", "photos", "pictures"]
    assert [one.name for one in node.buckets.list(after="c", limit=1)] == ["photos"]
    assert [one.name for one in node.buckets.list(prefix="p")] == ["photos", "pictures"]
