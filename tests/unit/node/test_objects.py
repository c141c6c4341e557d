"""Objects: what writing, deleting, copying and updating mean."""

import errno
import os

import pytest

from ironbucket import checksums
from ironbucket.errors import (
    BadDigest,
    IncompleteBody,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    XAmzContentSHA256Mismatch,
)
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Conditions, Expected
from ironbucket.node.objects import Deleted, bytes_body
from ironbucket.store.model import Version
from tests.unit.node.support import check, contents, put


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (Expected(length=3), IncompleteBody),
        (Expected(length=5), IncompleteBody),
        (Expected(md5=bytes(16)), BadDigest),
        (Expected(sha256="0" * 64), XAmzContentSHA256Mismatch),
        (Expected(checksums={"crc32": "AAAAAA=="}), BadDigest),
        (Expected(trailer_checksum="crc32"), InvalidRequest),
    ],
)
def test_a_body_that_is_not_what_was_declared(node: Node, expected: Expected, error: type[Exception]) -> None:
    with pytest.raises(error):
        node.objects.put("photos", "key", bytes_body(b"data"), expected, Attributes())
    assert contents(node) == {}
    check(node)


def test_attributes_come_back(node: Node) -> None:
    attributes = Attributes("text/plain", {"expires": "never"}, {"k": "v"}, "GLACIER", {"t": "u"}, "owner")
    crc = checksums.hasher("crc32")
    crc.update(b"data")
    value = checksums.encode(crc.digest())
    node.objects.put("photos", "key", bytes_body(b"data"), Expected(checksums={"crc32": value}), attributes)
    found = node.objects.get("photos", "key")
    assert (found.content_type, found.headers, found.metadata) == ("text/plain", {"expires": "never"}, {"k": "v"})
    assert (found.storage_class, found.tags, found.owner) == ("GLACIER", {"t": "u"}, "owner")
    assert (found.checksums, found.checksum_type) == ({"crc32": value}, "FULL_OBJECT")
    assert node.objects.parts(found) == []


def test_what_is_not_there(node: Node) -> None:
    for action, error in (
        (lambda: put(node, "k", bucket="none"), NoSuchBucket),
        (lambda: node.objects.get("none", "k"), NoSuchBucket),
        (lambda: node.objects.get("photos", "k"), NoSuchKey),
        (lambda: node.objects.get("photos", "k", "V"), NoSuchVersion),
        (lambda: node.objects.delete("none", "k"), NoSuchBucket),
        (lambda: node.objects.update("photos", "k", None, "tags", {}), NoSuchKey),
        (lambda: node.objects.list("none"), NoSuchBucket),
    ):
        with pytest.raises(error):
            action()
    assert node.objects.delete("photos", "k") == Deleted()


@pytest.mark.parametrize(
    ("conditions", "error"),
    [
        (Conditions(if_match="*"), None),
        (Conditions(if_match="8d777f385d3dfec8815d20f7496026dc"), None),
        (Conditions(if_match="other"), PreconditionFailed),
        (Conditions(if_none_match="*"), PreconditionFailed),
        (Conditions(if_none_match="8d777f385d3dfec8815d20f7496026dc"), PreconditionFailed),
        (Conditions(if_none_match="other"), None),
    ],
)
def test_conditions_on_a_key_that_is_there(node: Node, conditions: Conditions, error: type[Exception] | None) -> None:
    put(node, "key", b"data")
    if error is None:
        put(node, "key", b"new", conditions=conditions)
    else:
        with pytest.raises(error):
            put(node, "key", b"new", conditions=conditions)
    assert contents(node) == {"key": b"data" if error else b"new"}
    check(node)


def test_conditions_on_a_key_that_is_not_there(node: Node) -> None:
    with pytest.raises(NoSuchKey):
        put(node, "key", conditions=Conditions(if_match="*"))
    put(node, "key", conditions=Conditions(if_none_match="*"))
    for conditions in (Conditions(if_match_size=5), Conditions(if_match_last_modified=0)):
        with pytest.raises(PreconditionFailed):
            node.objects.delete("photos", "key", conditions=conditions)
    when = node.objects.get("photos", "key").stamp.ms
    node.objects.delete("photos", "key", conditions=Conditions(if_match_size=4, if_match_last_modified=when))
    assert contents(node) == {}


def test_versions(node: Node) -> None:
    null = put(node, "key", b"null")
    node.buckets.configure("photos", "versioning", "Enabled")
    one, two = put(node, "key", b"one"), put(node, "key", b"two")
    assert (null.version_id, one.version_id, two.version_id) == ("null", one.version, two.version)
    assert [node.objects.payload(node.objects.get("photos", "key", v)).read() for v in ("null", one.version)] == [
        b"null",
        b"one",
    ]
    marker = node.objects.delete("photos", "key")
    assert marker.marker
    with pytest.raises(NoSuchKey) as missing:
        node.objects.get("photos", "key")
    assert missing.value.details["version_id"] == marker.version_id
    with pytest.raises(MethodNotAllowed):
        node.objects.get("photos", "key", marker.version_id)
    shown = [one for one in node.objects.list_versions("photos").entries if isinstance(one, Version)]
    assert [one.version_id for one in shown] == [marker.version_id, two.version, one.version, "null"]
    assert [one.is_latest for one in shown] == [True, False, False, False]
    assert node.objects.delete("photos", "key", marker.version_id) == Deleted(marker.version_id, marker=True)
    assert node.objects.get("photos", "key").version == two.version
    node.objects.delete("photos", "key", two.version)
    node.objects.delete("photos", "key", "null")
    assert node.objects.get("photos", "key").version == one.version
    node.buckets.configure("photos", "versioning", "Suspended")
    assert node.objects.delete("photos", "key") == Deleted("null", marker=True)
    assert put(node, "key", b"again").version_id == "null"
    assert contents(node) == {"key": b"again"}
    check(node)


def test_many_are_deleted_each_with_its_outcome(node: Node) -> None:
    for key in "abc":
        put(node, key)
    targets = [("a", None, Conditions()), ("b", None, Conditions(if_match="x")), ("z", None, Conditions())]
    outcomes = node.objects.delete_many("photos", targets)
    assert outcomes[0] == outcomes[2] == Deleted()
    assert isinstance(outcomes[1], PreconditionFailed)
    assert set(contents(node)) == {"b", "c"}


def test_a_copy_shares_the_payload_and_not_the_attributes(node: Node) -> None:
    source = put(node, "a", b"data")
    copy = node.objects.copy(source, "photos", "b", Attributes("text/plain"))
    assert (copy.etag, copy.content_type) == (source.etag, "text/plain")
    onto_itself = node.objects.copy(source, "photos", "a", Attributes(), checksum_algorithm="sha256")
    assert set(onto_itself.checksums) == {"sha256"}
    assert contents(node) == {"a": b"data", "b": b"data"}
    check(node)


def test_a_copy_where_links_are_not_possible(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    source = put(node, "a", b"data")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMLINK, "too many links")

    monkeypatch.setattr(os, "link", fail)
    node.objects.copy(source, "photos", "b", Attributes())
    assert contents(node) == {"a": b"data", "b": b"data"}


def test_metadata_of_a_version_is_set_and_removed(node: Node) -> None:
    put(node, "key")
    for value in ({"a": "1"}, {"b": "2"}, None):
        assert node.objects.update("photos", "key", None, "tags", value).tags == (value or {})
    put(node, "key")
    assert node.objects.get("photos", "key").tags == {}
