"""PutObject: what is stored, what is answered, what is refused."""

from __future__ import annotations

import base64
import hashlib

import pytest

from ironbucket import checksums
from ironbucket.s3.attributes import decode_value
from tests.unit.s3.conftest import Client


def test_an_object_comes_back_as_it_was_put(client: Client, bucket: str) -> None:
    put = client("PUT", "/box/a", b"hello")
    assert (put.status, put.headers["etag"]) == (200, '"5d41402abc4b2a76b9719d911017c592"')
    got = client("GET", "/box/a")
    assert (got.status, got.body) == (200, b"hello")
    assert got.headers["content-type"] == "binary/octet-stream"
    assert "x-amz-version-id" not in got.headers
    assert "x-amz-storage-class" not in got.headers


def test_an_empty_object_is_an_object(client: Client, bucket: str) -> None:
    put = client("PUT", "/box/folder/")
    assert put.headers["etag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
    got = client("GET", "/box/folder/")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    "key", ["a b+c", "ünï/☃", "..", "a//b", "%41", "a?b", "x" * 1024, "a\tb", "/lead", "\U0001f600"]
)
def test_any_key_works(client: Client, bucket: str, key: str) -> None:
    from urllib.parse import quote

    path = "/box/" + quote(key, safe="/~-._")
    assert client("PUT", path, b"1").status == 200
    assert client("GET", path).body == b"1"
    assert client("GET", "/box", query={"list-type": "2"}).texts("Contents/Key") == [key]
    assert client("DELETE", path).status == 204


def test_headers_and_metadata_are_returned(client: Client, bucket: str) -> None:
    sent = {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "max-age=3, public",
        "Content-Disposition": 'attachment; filename="a.txt"',
        "Content-Encoding": "aws-chunked,gzip",
        "Content-Language": "de",
        "Expires": "not a date at all",
        "x-amz-meta-One": "1",
        "x-amz-meta-empty": "",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-website-redirect-location": "/elsewhere",
        "x-amz-tagging": "a=b&c=d%20e",
        "x-amz-acl": "private",
    }
    assert client("PUT", "/box/a", b"1", headers=sent).status == 200
    for method in ("GET", "HEAD"):
        got = client(method, "/box/a").headers
        assert got["content-type"] == "text/plain; charset=utf-8"
        assert got["cache-control"] == "max-age=3, public"
        assert got["content-disposition"] == 'attachment; filename="a.txt"'
        assert got["content-encoding"] == "gzip"
        assert got["content-language"] == "de"
        assert got["expires"] == "not a date at all"
        assert (got["x-amz-meta-one"], got["x-amz-meta-empty"]) == ("1", "")
        assert got["x-amz-storage-class"] == "STANDARD_IA"
        assert got["x-amz-website-redirect-location"] == "/elsewhere"
        assert got["x-amz-tagging-count"] == "2"


def test_a_content_encoding_of_aws_chunked_alone_is_framing(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"1", headers={"Content-Encoding": "aws-chunked"})
    assert "content-encoding" not in client("GET", "/box/a").headers


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("grün", "=?UTF-8?B?Z3LDvG4=?="),  # raw UTF-8
        ("=?UTF-8?B?Z3LDvG4=?=", "=?UTF-8?B?Z3LDvG4=?="),
        ("=?utf-8?q?gr=C3=BCn?=", "=?UTF-8?B?Z3LDvG4=?="),
        ("=?UTF-8?B?broken", "=?UTF-8?B?broken"),
        ("=?no-such-charset?B?Z3LDvG4=?=", "=?no-such-charset?B?Z3LDvG4=?="),
        ("=?UTF-8?B?YWJj?=", "abc"),
    ],
)
def test_metadata_in_unicode_is_returned_as_rfc_2047(client: Client, bucket: str, sent: str, returned: str) -> None:
    assert client("PUT", "/box/a", b"1", headers={"x-amz-meta-text": sent}).status == 200
    assert client("GET", "/box/a").headers["x-amz-meta-text"] == returned


def test_raw_bytes_that_are_not_utf_8_are_latin_1() -> None:
    assert decode_value("gr\xfcn") == "grün"


def test_two_kib_of_metadata_are_the_limit(client: Client, bucket: str) -> None:
    name = "x-amz-meta-k"
    assert client("PUT", "/box/a", b"1", headers={name: "v" * 2047}).status == 200
    refused = client("PUT", "/box/a", b"1", headers={name: "v" * 2048})
    assert (refused.status, refused.code) == (400, "MetadataTooLarge")
    assert (refused.text("Size"), refused.text("MaxSizeAllowed")) == ("2049", "2048")


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_a_declared_checksum_is_verified_kept_and_returned(client: Client, bucket: str, algorithm: str) -> None:
    hasher = checksums.hasher(algorithm)
    hasher.update(b"hello")
    value = checksums.encode(hasher.digest())
    name = f"x-amz-checksum-{algorithm}"
    put = client("PUT", "/box/a", b"hello", headers={name: value})
    assert (put.headers[name], put.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
    assert name not in client("GET", "/box/a").headers
    for method in ("GET", "HEAD"):
        got = client(method, "/box/a", headers={"x-amz-checksum-mode": "ENABLED"})
        assert (got.headers[name], got.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
    refused = client("PUT", "/box/b", b"other", headers={name: value})
    assert (refused.status, refused.code) == (400, "BadDigest")
    assert client("GET", "/box/b").code == "NoSuchKey"


def test_content_md5(client: Client, bucket: str) -> None:
    right = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert client("PUT", "/box/a", b"hello", headers={"Content-MD5": right}).status == 200
    assert client("PUT", "/box/a", b"hallo", headers={"Content-MD5": right}).code == "BadDigest"
    assert client("PUT", "/box/a", b"hello", headers={"Content-MD5": "short"}).code == "InvalidDigest"
    assert client("GET", "/box/a").body == b"hello"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-amz-storage-class": "COLD"}, 400, "InvalidStorageClass"),
        ({"x-amz-acl": "everyone"}, 400, "InvalidArgument"),
        ({"x-amz-acl": "aws-exec-read"}, 501, "NotImplemented"),
        ({"x-amz-acl": "private", "x-amz-grant-read": "id=1"}, 400, "InvalidRequest"),
        ({"x-amz-grant-read": "id=1"}, 400, "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/Nobody"}, 400, "InvalidArgument"),
        ({"x-amz-grant-read": "emailAddress=a@b"}, 400, "UnresolvableGrantByEmailAddress"),
        ({"x-amz-grant-read": "whoever"}, 400, "InvalidArgument"),
        ({"x-amz-server-side-encryption": "AES256"}, 501, "NotImplemented"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, 400, "InvalidArgument"),
        ({"x-amz-website-redirect-location": "elsewhere"}, 400, "InvalidArgument"),
        ({"x-amz-tagging": "a=1&a=2"}, 400, "InvalidArgument"),
        ({"x-amz-tagging": "a=%FF"}, 400, "InvalidArgument"),
        ({"x-amz-tagging": "&".join(f"k{n}=v" for n in range(11))}, 400, "InvalidTag"),
        ({"x-amz-tagging": "aws:a=1"}, 400, "InvalidTag"),
        ({"x-amz-tagging": "a=%3C"}, 400, "InvalidTag"),
        ({"x-amz-tagging": "k" * 129 + "=v"}, 400, "InvalidTag"),
        ({"x-amz-tagging": "k=" + "v" * 257}, 400, "InvalidTag"),
        ({"Content-Length": str(5 * 2**30 + 1)}, 400, "EntityTooLarge"),
        ({"Content-Length": "9"}, 400, "IncompleteBody"),
        ({"If-Match": '"5d41402abc4b2a76b9719d911017c592"'}, 404, "NoSuchKey"),
    ],
)
def test_what_cannot_be_stored_is_refused(
    client: Client, bucket: str, headers: dict[str, str], status: int, code: str
) -> None:
    refused = client("PUT", "/box/a", b"hello", headers=headers)
    assert (refused.status, refused.code) == (status, code)
    assert client("GET", "/box/a").code == "NoSuchKey"


def test_a_length_is_required(client: Client, bucket: str) -> None:
    refused = client("PUT", "/box/a", b"hello", headers={"Content-Length": None})
    assert (refused.status, refused.code) == (411, "MissingContentLength")


def test_a_missing_bucket(client: Client) -> None:
    refused = client("PUT", "/nowhere/a", b"1")
    assert (refused.status, refused.code, refused.text("BucketName")) == (404, "NoSuchBucket", "nowhere")


def test_if_none_match_creates_only(client: Client, bucket: str) -> None:
    assert client("PUT", "/box/a", b"1", headers={"If-None-Match": "*"}).status == 200
    refused = client("PUT", "/box/a", b"2", headers={"If-None-Match": "*"})
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert client("GET", "/box/a").body == b"1"


def test_if_match_replaces_only_what_was_seen(client: Client, bucket: str) -> None:
    seen = client("PUT", "/box/a", b"1").headers["etag"]
    assert client("PUT", "/box/a", b"2", headers={"If-Match": seen}).status == 200
    assert client("PUT", "/box/a", b"3", headers={"If-Match": seen}).code == "PreconditionFailed"
    assert client("PUT", "/box/a", b"4", headers={"If-Match": "*"}).status == 200
