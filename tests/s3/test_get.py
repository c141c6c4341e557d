"""GetObject and HeadObject: bytes, headers, overrides, ranges, parts."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.expect import etag, fails

DATA = bytes(range(256)) * 8


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """A bucket with the object `k` of 2,048 known bytes."""
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ContentType="text/x-test", Metadata={"m": "v"})
    return bucket


def test_head_has_the_headers_of_get_and_no_body(raw: RawClient, stored: str) -> None:
    get, head = raw.request("GET", stored, "k"), raw.request("HEAD", stored, "k")
    changing = {"date", "x-amz-request-id", "x-amz-id-2", "connection"}
    assert {k: v for k, v in get.headers.items() if k not in changing} == {
        k: v for k, v in head.headers.items() if k not in changing
    }
    assert (get.body, head.body) == (DATA, b"")
    assert head.headers["content-length"] == "2048"


def test_last_modified_is_an_http_date_of_whole_seconds(raw: RawClient, s3: Any, stored: str) -> None:
    value = raw.request("HEAD", stored, "k").headers["last-modified"]
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", value)
    listed = s3.list_objects_v2(Bucket=stored)["Contents"][0]["LastModified"]
    assert abs((listed - s3.head_object(Bucket=stored, Key="k")["LastModified"]).total_seconds()) < 1


def test_a_missing_key(s3: Any, bucket: str) -> None:
    with fails("NoSuchKey", 404) as failure:
        s3.get_object(Bucket=bucket, Key="nothing/here")
    assert failure.response["Error"]["Key"] == "nothing/here"
    with fails("404", 404):
        s3.head_object(Bucket=bucket, Key="nothing/here")


def test_response_overrides(s3: Any, stored: str) -> None:
    answer = s3.get_object(
        Bucket=stored,
        Key="k",
        ResponseContentType="text/css",
        ResponseContentLanguage="fr",
        ResponseCacheControl="no-store",
        ResponseContentDisposition="inline",
        ResponseContentEncoding="br",
        ResponseExpires="Thu, 01 Dec 2033 16:00:00 GMT",
    )
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "text/css"
    assert headers["content-language"] == "fr"
    assert headers["cache-control"] == "no-store"
    assert headers["content-disposition"] == "inline"
    assert headers["content-encoding"] == "br"
    assert headers["expires"] == "Thu, 01 Dec 2033 16:00:00 GMT"


def test_an_override_cannot_add_a_header_line(raw: RawClient, stored: str) -> None:
    answer = raw.request("GET", stored, "k", {"response-content-type": "a/b\r\nX-Injected: yes"})
    assert "x-injected" not in answer.headers
    assert answer.status in (200, 400)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 2047),
        ("bytes=5-9", 5, 9),
        ("bytes=2047-2047", 2047, 2047),
        ("bytes=2047-", 2047, 2047),
        ("bytes=-1", 2047, 2047),
        ("bytes=-2048", 0, 2047),
        ("bytes=-5000", 0, 2047),
        ("bytes=10-99999999999999999999", 10, 2047),
        ("bytes=0-2047", 0, 2047),
    ],
)
def test_ranges(raw: RawClient, stored: str, asked: str, first: int, last: int) -> None:
    for method in ("GET", "HEAD"):
        answer = raw.request(method, stored, "k", headers={"Range": asked})
        assert answer.status == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/2048"
        assert answer.headers["content-length"] == str(last - first + 1)
        assert answer.headers["etag"] == etag(DATA)
        assert answer.body == (DATA[first : last + 1] if method == "GET" else b"")


@pytest.mark.parametrize("asked", ["bytes=2048-", "bytes=5000-6000", "bytes=-0"])
def test_ranges_that_cannot_be_met(raw: RawClient, stored: str, asked: str) -> None:
    answer = raw.request("GET", stored, "k", headers={"Range": asked})
    assert (answer.status, answer.code) == (416, "InvalidRange")
    assert answer.xml().findtext("RangeRequested") == asked
    assert answer.xml().findtext("ActualObjectSize") == "2048"
    assert raw.request("HEAD", stored, "k", headers={"Range": asked}).status == 416


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=-", "bytes=1-2,4-5", "bytes 1-2", ""])
def test_ranges_that_are_none_are_ignored(raw: RawClient, stored: str, asked: str) -> None:
    """RFC 9110 14.2: an invalid ranges-specifier is ignored; S3 also ignores several ranges at once."""
    answer = raw.request("GET", stored, "k", headers={"Range": asked})
    assert (answer.status, len(answer.body)) == (200, 2048)


def test_a_range_of_an_empty_object_cannot_be_met(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    with fails("InvalidRange", 416):
        s3.get_object(Bucket=bucket, Key="empty", Range="bytes=0-0")


def test_ranges_of_a_large_object(s3: Any, bucket: str) -> None:
    data = os.urandom(3_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    for first, last in ((0, 65535), (65535, 65536), (1 << 20, (2 << 20) + 17), (2_999_999, 2_999_999)):
        answer = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert answer["Body"].read() == data[first : last + 1]


def test_part_number_one_of_a_plain_object_is_all_of_it(s3: Any, stored: str) -> None:
    answer = s3.get_object(Bucket=stored, Key="k", PartNumber=1)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["Body"].read() == DATA
    assert "PartsCount" not in answer
    with fails("InvalidPartNumber", 416):
        s3.get_object(Bucket=stored, Key="k", PartNumber=2)


def test_range_and_part_number_exclude_each_other(s3: Any, stored: str) -> None:
    with fails("InvalidRequest", 400):
        s3.get_object(Bucket=stored, Key="k", PartNumber=1, Range="bytes=0-1")


@pytest.mark.parametrize("number", ["0", "-1", "x", "10001"])
def test_part_numbers_that_are_none(raw: RawClient, stored: str, number: str) -> None:
    answer = raw.request("GET", stored, "k", {"partNumber": number})
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_pipelined_reads_are_answered_in_order(raw: RawClient, s3: Any, bucket: str) -> None:
    requests = b""
    for i in range(4):
        s3.put_object(Bucket=bucket, Key=f"k{i}", Body=f"body {i}".encode())
        headers = raw.signer.header("GET", raw.host, f"/{bucket}/k{i}")
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        requests += f"GET /{bucket}/k{i} HTTP/1.1\r\n{lines}".encode()
        requests += b"Connection: close\r\n\r\n" if i == 3 else b"\r\n"
    received = raw.exchange(requests)
    assert re.findall(rb"body \d", received) == [b"body 0", b"body 1", b"body 2", b"body 3"]
