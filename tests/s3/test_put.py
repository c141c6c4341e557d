"""PutObject: what is stored is what was sent, or nothing is."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.harness.signing import UNSIGNED
from tests.s3.expect import body, content_md5, etag, fails, missing


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1, 9_000_001])
def test_every_size_comes_back(s3: Any, bucket: str, size: int) -> None:
    data = os.urandom(size)
    assert s3.put_object(Bucket=bucket, Key="k", Body=data)["ETag"] == etag(data)
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == data
    assert (answer["ContentLength"], answer["ETag"]) == (size, etag(data))


def test_overwriting(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"first, longer", Metadata={"old": "1"}, ContentType="text/plain")
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == b"second"
    assert answer["Metadata"] == {}
    assert answer["ContentType"] == "binary/octet-stream"


def test_headers_are_stored_and_returned(s3: Any, bucket: str) -> None:
    stored = {
        "ContentType": "text/html; charset=utf-8",
        "CacheControl": "max-age=60, public",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de, en",
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires="Wed, 21 Oct 2026 07:28:00 GMT", **stored)
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in stored} == stored
        assert answer["ResponseMetadata"]["HTTPHeaders"]["expires"] == "Wed, 21 Oct 2026 07:28:00 GMT"
        assert answer["AcceptRanges"] == "bytes"


def test_aws_chunked_is_not_part_of_the_stored_encoding(raw: RawClient, bucket: str) -> None:
    raw.request("PUT", bucket, "k", headers={"Content-Encoding": "aws-chunked,gzip"}, body=b"x")
    assert raw.request("GET", bucket, "k").headers["content-encoding"] == "gzip"
    raw.request("PUT", bucket, "k", headers={"Content-Encoding": "aws-chunked"}, body=b"x")
    assert "content-encoding" not in raw.request("GET", bucket, "k").headers


def test_storage_class(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD_IA")
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD")
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")  # S3 leaves the default out
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD"


def test_an_unknown_storage_class_is_refused(s3: Any, bucket: str) -> None:
    with fails("InvalidStorageClass", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GOLD")
    assert missing(s3, bucket, "k")


def test_content_md5(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ContentMD5=content_md5(b"data"))
    with fails("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"DATA", ContentMD5=content_md5(b"data"))
    for wrong in ("abc", "AAAA", "not base64 at all!!", ""):
        with fails("InvalidDigest", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"data", ContentMD5=wrong)
    assert body(s3, bucket, "k") == b"data"


def test_the_signed_digest_of_the_body_is_checked(raw: RawClient, s3: Any, bucket: str) -> None:
    answer = raw.request("PUT", bucket, "k", body=b"sent", digest=hashlib.sha256(b"signed").hexdigest())
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert missing(s3, bucket, "k")


def test_unsigned_payload(raw: RawClient, s3: Any, bucket: str) -> None:
    assert raw.request("PUT", bucket, "k", body=b"any", digest=UNSIGNED).status == 200
    assert body(s3, bucket, "k") == b"any"


def test_a_digest_that_is_none_is_refused(raw: RawClient, bucket: str) -> None:
    answer = raw.request("PUT", bucket, "k", body=b"x", digest="zz")
    assert answer.status == 400, str(answer)


def test_no_length_is_refused(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}/k", digest=UNSIGNED)
    answer = raw.send("PUT", f"/{bucket}/k", headers, [b""])
    assert (answer.status, answer.code) == (411, "MissingContentLength")


def test_http_chunked_bodies(raw: RawClient, s3: Any, bucket: str) -> None:
    """S3 itself refuses these without a decoded length (411); with one, it is the length that counts."""
    headers = raw.signer.header(
        "PUT", raw.host, f"/{bucket}/k", headers={"X-Amz-Decoded-Content-Length": "10"}, digest=UNSIGNED
    )
    pieces = [b"6\r\nhello \r\n", b"4\r\nyou!\r\n", b"0\r\n\r\n"]
    answer = raw.send("PUT", f"/{bucket}/k", {**headers, "Transfer-Encoding": "chunked"}, pieces)
    if answer.status == 200:
        assert body(s3, bucket, "k") == b"hello you!"
    else:
        assert answer.status in (400, 411, 501), str(answer)
        assert missing(s3, bucket, "k")


def test_expect_100_continue(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}/k", digest=UNSIGNED)
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    with raw.connect() as connection:
        connection.sendall(
            f"PUT /{bucket}/k HTTP/1.1\r\n{lines}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"data")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert body(s3, bucket, "k") == b"data"


def test_no_100_for_a_request_that_is_refused(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}-missing/k", digest=UNSIGNED)
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    received = raw.exchange(
        f"PUT /{bucket}-missing/k HTTP/1.1\r\n{lines}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode(),
        timeout=2,
    )
    assert received.startswith(b"HTTP/1.1 404 "), received[:200]


def test_several_requests_on_one_connection(raw: RawClient, bucket: str) -> None:
    with raw.connect() as connection:
        for i in range(5):
            data = b"x" * (i * 1000)
            headers = raw.signer.header("PUT", raw.host, f"/{bucket}/k{i}", digest=UNSIGNED)
            lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
            connection.sendall(
                f"PUT /{bucket}/k{i} HTTP/1.1\r\n{lines}Content-Length: {len(data)}\r\n\r\n".encode() + data
            )
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_object_tags_from_the_header_are_counted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=two%20words")
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2


def test_more_than_5_gib_in_one_put_is_refused_before_the_body(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}/k", digest=UNSIGNED)
    answer = raw.send("PUT", f"/{bucket}/k", {**headers, "Content-Length": str(5 * 2**30 + 1)}, [b""])
    assert (answer.status, answer.code) == (400, "EntityTooLarge")


@pytest.mark.parametrize(
    ("key", "headers"), [("k", {}), ("none", {"If-Match": '"x"'}), ("k", {"x-amz-storage-class": "?"})]
)
def test_an_expectation_is_answered_although_the_body_is_empty(
    raw: RawClient, bucket: str, key: str, headers: dict[str, str]
) -> None:
    """botocore sends Expect: 100-continue for empty files too. It takes a final answer that no 100 preceded for the
    answer to the next request on that connection as well, which then hangs: either a 100 comes first, or the
    connection ends."""
    signed = raw.signer.header("PUT", raw.host, f"/{bucket}/{key}", headers=headers, digest=UNSIGNED)
    lines = "".join(f"{k}: {v}\r\n" for k, v in signed.items())
    head = f"PUT /{bucket}/{key} HTTP/1.1\r\n{lines}Content-Length: 0\r\nExpect: 100-continue\r\n\r\n"
    received = raw.exchange(head.encode(), timeout=1)
    assert received.startswith(b"HTTP/1.1 100 ") or b"\r\nconnection: close\r\n" in received.lower(), received
