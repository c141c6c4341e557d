"""CopyObject."""

from __future__ import annotations

from typing import Any

import pytest

from ironbucket.errors import InvalidArgument
from ironbucket.s3.copy import Source, parse_source
from tests.unit.s3.conftest import Answer, Client


@pytest.fixture
def source(client: Client, bucket: str) -> str:
    headers = {
        "Content-Type": "text/plain",
        "Cache-Control": "no-store",
        "x-amz-meta-color": "red",
        "x-amz-tagging": "a=b",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-website-redirect-location": "/x",
        "x-amz-checksum-crc32": "NhCmhg==",
    }
    put = client("PUT", "/box/from", b"hello", headers=headers)
    assert put.status == 200, put.body
    return put.headers["etag"]


def copy(client: Client, to: str, source: str = "/box/from", **headers: str) -> Answer:
    sent = {"x-amz-copy-source": source, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return client("PUT", to, headers=sent)


def test_a_copy_carries_the_metadata(client: Client, source: str) -> None:
    answer = copy(client, "/box/to")
    assert answer.status == 200
    assert answer.text("ETag") == source
    assert answer.text("ChecksumCRC32") == "NhCmhg=="
    assert (answer.text("LastModified") or "").endswith("Z")
    got = client("GET", "/box/to")
    assert got.body == b"hello"
    assert (got.headers["content-type"], got.headers["cache-control"]) == ("text/plain", "no-store")
    assert (got.headers["x-amz-meta-color"], got.headers["x-amz-tagging-count"]) == ("red", "1")
    assert "x-amz-storage-class" not in got.headers
    assert "x-amz-website-redirect-location" not in got.headers


def test_a_copy_with_new_metadata(client: Client, source: str) -> None:
    sent = {"x_amz_metadata_directive": "REPLACE", "x_amz_meta_size": "big", "x_amz_storage_class": "GLACIER_IR"}
    assert copy(client, "/box/to", **sent).status == 200
    got = client("HEAD", "/box/to").headers
    assert got["content-type"] == "binary/octet-stream"
    assert got["x-amz-meta-size"] == "big"
    assert "x-amz-meta-color" not in got
    assert got["x-amz-storage-class"] == "GLACIER_IR"
    assert got["x-amz-tagging-count"] == "1"


def test_a_copy_with_new_tags(client: Client, source: str) -> None:
    copy(client, "/box/to", x_amz_tagging_directive="REPLACE", x_amz_tagging="c=d&e=f")
    assert client("HEAD", "/box/to").headers["x-amz-tagging-count"] == "2"
    copy(client, "/box/none", x_amz_tagging_directive="REPLACE")
    assert "x-amz-tagging-count" not in client("HEAD", "/box/none").headers


def test_onto_itself(client: Client, source: str) -> None:
    refused = copy(client, "/box/from")
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert "illegal" in (refused.text("Message") or "")
    assert copy(client, "/box/from", x_amz_storage_class="STANDARD").status == 200
    assert copy(client, "/box/from", x_amz_metadata_directive="REPLACE", x_amz_meta_a="b").status == 200
    got = client("GET", "/box/from")
    assert (got.body, got.headers["x-amz-meta-a"]) == (b"hello", "b")


def test_an_old_version_onto_itself_restores_it(client: Client, node: Any, source: str) -> None:
    node.buckets.configure("box", "versioning", "Enabled")
    first = client("PUT", "/box/v", b"1").headers["x-amz-version-id"]
    client("PUT", "/box/v", b"2")
    answer = copy(client, "/box/v", f"box/v?versionId={first}")
    assert answer.headers["x-amz-copy-source-version-id"] == first
    assert client("GET", "/box/v").body == b"1"
    marker = client("DELETE", "/box/v").headers["x-amz-version-id"]
    assert copy(client, "/box/to", f"box/v?versionId={marker}").code == "InvalidRequest"
    assert copy(client, "/box/to", "box/v").code == "NoSuchKey"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"x_amz_copy_source_if_match": "{etag}"}, 200),
        ({"x_amz_copy_source_if_match": '"x"'}, 412),
        ({"x_amz_copy_source_if_none_match": "{etag}"}, 412),
        ({"x_amz_copy_source_if_none_match": '"x"'}, 200),
        ({"x_amz_copy_source_if_modified_since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 412),
        ({"x_amz_copy_source_if_unmodified_since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412),
        ({"If_None_Match": "*"}, 412),
    ],
)
def test_conditions(client: Client, source: str, condition: dict[str, str], status: int) -> None:
    client("PUT", "/box/to", b"old")
    answer = copy(client, "/box/to", **{name: value.format(etag=source) for name, value in condition.items()})
    assert answer.status == status
    assert client("GET", "/box/to").body == (b"hello" if status == 200 else b"old")


def test_a_checksum_can_be_asked_for(client: Client, source: str) -> None:
    answer = copy(client, "/box/to", x_amz_checksum_algorithm="SHA1")
    assert answer.text("ChecksumSHA1") == "qvTGHdzF6KLavt4PO0gs2a6pQ00="
    assert copy(client, "/box/to", x_amz_checksum_algorithm="MD4").code == "InvalidRequest"


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("box", "InvalidArgument"),
        ("/", "InvalidArgument"),
        ("box/", "InvalidArgument"),
        ("box/%FF", "InvalidArgument"),
        ("box/missing", "NoSuchKey"),
        ("nowhere/from", "NoSuchBucket"),
        ("box/from?versionId=none", "NoSuchVersion"),
    ],
)
def test_a_source_that_is_not_there(client: Client, source: str, named: str, code: str) -> None:
    assert copy(client, "/box/to", named).code == code


def test_unknown_directives_and_buckets(client: Client, source: str) -> None:
    assert copy(client, "/box/to", x_amz_metadata_directive="KEEP").code == "InvalidArgument"
    assert copy(client, "/box/to", x_amz_tagging_directive="KEEP").code == "InvalidArgument"
    assert copy(client, "/nowhere/to").code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("box/a", Source("box", "a", None)),
        ("/box/a", Source("box", "a", None)),
        ("box/a%20b", Source("box", "a b", None)),
        ("box/a+b", Source("box", "a+b", None)),
        ("%2Fbox%2Fa", Source("box", "a", None)),
        ("box/a%3Fb?versionId=7", Source("box", "a?b", "7")),
        ("box/a?b", Source("box", "a?b", None)),
        ("box/%E2%98%83", Source("box", "☃", None)),
        ("box//a", Source("box", "/a", None)),
    ],
)
def test_parse_source(text: str, expected: Source) -> None:
    assert parse_source(text) == expected


def test_parse_source_of_nothing() -> None:
    with pytest.raises(InvalidArgument):
        parse_source("")
