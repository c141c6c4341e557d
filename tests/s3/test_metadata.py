"""User metadata: names, values, Unicode as S3 sends it, and the limit of 2 KiB."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.expect import fails, missing


def test_names_are_lower_case_and_values_untouched(raw: RawClient, bucket: str) -> None:
    headers = {"X-Amz-Meta-MixedCase": "Value With  Spaces", "x-amz-meta-empty": "", "x-amz-meta-a-b_c.d": "1"}
    assert raw.request("PUT", bucket, "k", headers=headers).status == 200
    found = raw.request("HEAD", bucket, "k").headers
    assert found["x-amz-meta-mixedcase"] == "Value With  Spaces"
    assert found["x-amz-meta-empty"] == ""
    assert found["x-amz-meta-a-b_c.d"] == "1"


def test_repeated_headers_are_joined_by_a_comma(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}/k", headers={"x-amz-meta-m": "a,b"})
    del headers["x-amz-meta-m"]
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    received = raw.exchange(
        f"PUT /{bucket}/k HTTP/1.1\r\n{lines}x-amz-meta-m: a\r\nx-amz-meta-m: b\r\n"
        "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
    )
    assert received.startswith(b"HTTP/1.1 200 "), received[:300]
    assert raw.request("HEAD", bucket, "k").headers["x-amz-meta-m"].replace(" ", "") == "a,b"


@pytest.mark.parametrize("value", ["Grüße", "日本語", "\U0001f600", "a \u00a0 b"])
def test_raw_utf_8_comes_back_as_rfc_2047_words(raw: RawClient, bucket: str, value: str) -> None:
    """The user guide: non-US-ASCII values sent raw come back as =?UTF-8?...?= encoded words."""
    import email.header

    assert raw.request("PUT", bucket, "k", headers={"x-amz-meta-u": value}).status == 200
    found = raw.request("HEAD", bucket, "k").headers["x-amz-meta-u"]
    assert found.isascii()
    decoded = "".join(
        part.decode(charset or "ascii") if isinstance(part, bytes) else part
        for part, charset in email.header.decode_header(found)
    )
    assert decoded == value


def test_an_encoded_word_is_kept_as_it_is(raw: RawClient, bucket: str) -> None:
    word = "=?UTF-8?B?R3LDvMOfZQ==?="
    raw.request("PUT", bucket, "k", headers={"x-amz-meta-u": word})
    assert raw.request("HEAD", bucket, "k").headers["x-amz-meta-u"] == word


def test_two_kib_and_no_more(s3: Any, bucket: str) -> None:
    """The sum of the bytes of names (without the prefix) and values may be 2,048."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 1023, "b": "y" * 1023})
    assert len(s3.head_object(Bucket=bucket, Key="k")["Metadata"]["b"]) == 1023
    with fails("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="big", Body=b"", Metadata={"a": "x" * 1023, "b": "y" * 1024})
    with fails("MetadataTooLarge", 400):
        s3.create_multipart_upload(Bucket=bucket, Key="big", Metadata={"a": "x" * 2048})
    assert missing(s3, bucket, "big")


def test_metadata_survives_a_multipart_upload(s3: Any, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**target, Metadata={"m": "1"}, ContentType="text/x", CacheControl="no-cache")
    part = s3.upload_part(**target, UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**target, UploadId=upload["UploadId"], MultipartUpload=parts)
    found = s3.head_object(**target)
    assert (found["Metadata"], found["ContentType"], found["CacheControl"]) == ({"m": "1"}, "text/x", "no-cache")


def test_a_line_break_cannot_get_into_a_header(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}/k", headers={"x-amz-meta-m": "ab"})
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items()).replace("x-amz-meta-m: ab", "x-amz-meta-m: a\rb")
    received = raw.exchange(
        f"PUT /{bucket}/k HTTP/1.1\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n".encode(), timeout=5
    )
    assert received[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 403"), received[:200]
