"""GetObject and HeadObject: ranges, conditions, parts, overrides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.s3.conftest import Client

DATA = bytes(range(100))


@pytest.fixture
def etag(client: Client, bucket: str) -> str:
    return client("PUT", "/box/a", DATA, headers={"Content-Type": "text/plain"}).headers["etag"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=90-", 90, 99),
        ("bytes=-5", 95, 99),
        ("bytes=-500", 0, 99),
        ("bytes=99-99", 99, 99),
        ("bytes=98-99999999999999999999", 98, 99),
        ("bytes=50-500", 50, 99),
        ("bytes=0-0", 0, 0),
        ("Bytes = 1-2", 1, 2),
    ],
)
def test_a_range(client: Client, etag: str, method: str, header: str, first: int, last: int) -> None:
    got = client(method, "/box/a", headers={"Range": header})
    assert got.status == 206
    assert got.headers["content-range"] == f"bytes {first}-{last}/100"
    assert got.headers["content-length"] == str(last - first + 1)
    assert got.headers["accept-ranges"] == "bytes"
    if method == "GET":
        assert got.body == DATA[first : last + 1]


@pytest.mark.parametrize(
    "header", ["bytes=0-1,5-6", "bytes=9-2", "bytes=-", "bytes=a-b", "lines=1-2", "0-5", "", "bytes=1-2-3", "bytes=٣-٤"]
)
def test_a_range_that_is_none_gives_the_whole(client: Client, etag: str, header: str) -> None:
    got = client("GET", "/box/a", headers={"Range": header})
    assert (got.status, got.body) == (200, DATA)
    assert "content-range" not in got.headers


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_outside(client: Client, etag: str, header: str) -> None:
    got = client("GET", "/box/a", headers={"Range": header})
    assert (got.status, got.code) == (416, "InvalidRange")
    assert (got.text("ActualObjectSize"), got.text("RangeRequested")) == ("100", header)
    assert client("HEAD", "/box/a", headers={"Range": header}).status == 416


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
def test_an_empty_object_has_no_ranges(client: Client, bucket: str, header: str) -> None:
    client("PUT", "/box/a")
    assert client("GET", "/box/a", headers={"Range": header}).code == "InvalidRange"


PAST, FUTURE = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": "{etag}"}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"x", {etag}'}, 200),
        ({"If-Match": "{bare}"}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": "W/{etag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": PAST}, 200),
        ({"If-Modified-Since": FUTURE}, 304),
        ({"If-Modified-Since": "nonsense"}, 200),
        ({"If-Unmodified-Since": PAST}, 412),
        ({"If-Unmodified-Since": FUTURE}, 200),
        ({"If-Unmodified-Since": "nonsense"}, 200),
        # the table of S3's documentation: an entity tag outweighs a date
        ({"If-Match": "{etag}", "If-Unmodified-Since": PAST}, 200),
        ({"If-None-Match": "{etag}", "If-Modified-Since": PAST}, 304),
        ({"If-None-Match": '"x"', "If-Modified-Since": FUTURE}, 200),
        ({"If-Match": "{etag}", "If-None-Match": "{etag}"}, 304),
        ({"If-Match": '"x"', "If-None-Match": '"x"'}, 412),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(client: Client, etag: str, method: str, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(etag=etag, bare=etag.strip('"')) for name, value in headers.items()}
    got = client(method, "/box/a", headers=sent)
    assert got.status == status
    if status == 304:
        assert got.headers["etag"] == etag
        assert "last-modified" in got.headers
        assert "content-type" not in got.headers
    if status == 412 and method == "GET":
        assert got.code == "PreconditionFailed"
        assert got.text("Condition") in sent


def test_last_modified_as_a_condition_round_trips(client: Client, etag: str) -> None:
    modified = client("HEAD", "/box/a").headers["last-modified"]
    assert client("GET", "/box/a", headers={"If-Modified-Since": modified}).status == 304
    assert client("GET", "/box/a", headers={"If-Unmodified-Since": modified}).status == 200


@pytest.mark.parametrize(
    ("condition", "status"), [("{etag}", 206), ('"x"', 200), ("W/{etag}", 200), ("{date}", 206), (PAST, 200)]
)
def test_if_range(client: Client, etag: str, condition: str, status: int) -> None:
    date = client("HEAD", "/box/a").headers["last-modified"]
    sent = {"Range": "bytes=0-1", "If-Range": condition.format(etag=etag, date=date)}
    assert client("GET", "/box/a", headers=sent).status == status


def test_response_headers_can_be_overridden(client: Client, etag: str) -> None:
    query = {
        "response-content-type": "application/json",
        "response-content-disposition": "attachment; filename=ü.txt",
        "response-cache-control": "no-cache",
        "response-content-encoding": "br",
        "response-content-language": "en",
        "response-expires": "never",
    }
    for method in ("GET", "HEAD"):
        got = client(method, "/box/a", query=query).headers
        assert got["content-type"] == "application/json"
        assert got["content-disposition"].encode("latin-1").decode() == "attachment; filename=ü.txt"
        assert got["cache-control"] == "no-cache"
        assert got["content-encoding"] == "br"
        assert got["content-language"] == "en"
        assert got["expires"] == "never"


def test_an_override_cannot_add_a_header(client: Client, etag: str) -> None:
    got = client("GET", "/box/a", query={"response-content-type": "a\r\nSet-Cookie: b"})
    assert (got.status, got.code) == (400, "InvalidArgument")


def test_an_object_put_whole_is_its_own_first_part(client: Client, etag: str) -> None:
    got = client("GET", "/box/a", query={"partNumber": "1"})
    assert (got.status, got.body, got.headers["content-range"]) == (206, DATA, "bytes 0-99/100")
    assert "x-amz-mp-parts-count" not in got.headers
    second = client("GET", "/box/a", query={"partNumber": "2"})
    assert (second.status, second.code) == (416, "InvalidPartNumber")
    assert second.text("ActualPartCount") == "1"


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "1e3", "٣"])
def test_a_part_number_is_a_number(client: Client, etag: str, number: str) -> None:
    got = client("GET", "/box/a", query={"partNumber": number})
    assert (got.status, got.code, got.text("ArgumentName")) == (400, "InvalidArgument", "partNumber")


def test_a_part_and_a_range_exclude_each_other(client: Client, etag: str) -> None:
    got = client("GET", "/box/a", query={"partNumber": "1"}, headers={"Range": "bytes=0-1"})
    assert (got.status, got.code) == (400, "InvalidRequest")


def test_the_parameter_that_sdks_add_for_the_logs_means_nothing(client: Client, etag: str) -> None:
    assert client("GET", "/box/a", query={"x-id": "GetObject"}).body == DATA


def test_a_missing_key_bucket_and_version(client: Client, etag: str) -> None:
    missing = client("GET", "/box/b")
    assert (missing.status, missing.code, missing.text("Key")) == (404, "NoSuchKey", "b")
    assert client("GET", "/nowhere/b").code == "NoSuchBucket"
    assert client("GET", "/No_Where/b").code == "InvalidBucketName"
    assert client("GET", "/box/a", query={"versionId": "other"}).code == "NoSuchVersion"
    for bad in ("", "a b", "a\r\nb", "☃", "v" * 129):
        for method in ("GET", "DELETE"):
            assert client(method, "/box/a", query={"versionId": bad}).code == "InvalidArgument"
    assert client("GET", "/box/a", query={"versionId": "null"}).body == DATA
    head = client("HEAD", "/box/b")
    assert (head.status, head.body) == (404, b"")


def test_versions(client: Client, node: Any, bucket: str) -> None:
    node.buckets.configure("box", "versioning", "Enabled")
    first = client("PUT", "/box/a", b"one").headers["x-amz-version-id"]
    second = client("PUT", "/box/a", b"two").headers["x-amz-version-id"]
    assert client("GET", "/box/a", query={"versionId": first}).body == b"one"
    assert client("GET", "/box/a").headers["x-amz-version-id"] == second
    deleted = client("DELETE", "/box/a")
    marker = deleted.headers["x-amz-version-id"]
    assert (deleted.status, deleted.headers["x-amz-delete-marker"]) == (204, "true")
    gone = client("GET", "/box/a")
    assert (gone.status, gone.code) == (404, "NoSuchKey")
    assert (gone.headers["x-amz-delete-marker"], gone.headers["x-amz-version-id"]) == ("true", marker)
    assert client("HEAD", "/box/a").headers["x-amz-delete-marker"] == "true"
    at_marker = client("GET", "/box/a", query={"versionId": marker})
    assert (at_marker.status, at_marker.code) == (405, "MethodNotAllowed")
    assert client("DELETE", "/box/a", query={"versionId": marker}).headers["x-amz-delete-marker"] == "true"
    assert client("GET", "/box/a").body == b"two"
