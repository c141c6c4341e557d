"""CopyObject: bytes, metadata, conditions on the source, and copies onto themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.expect import body, etag, fails, missing

DATA = b"to be copied"


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=DATA,
        ContentType="text/x-a",
        CacheControl="no-cache",
        Metadata={"m": "1"},
        Tagging="t=1",
    )
    return bucket


def test_copy_within_and_across_buckets(s3: Any, stored: str, buckets: Callable[[], str]) -> None:
    other = buckets()
    for target in (stored, other):
        answer = s3.copy_object(Bucket=target, Key="copy", CopySource={"Bucket": stored, "Key": "k"})
        assert answer["CopyObjectResult"]["ETag"] == etag(DATA)
        assert answer["CopyObjectResult"]["LastModified"].tzinfo is not None
        copied = s3.get_object(Bucket=target, Key="copy")
        assert copied["Body"].read() == DATA
        assert (copied["ContentType"], copied["CacheControl"]) == ("text/x-a", "no-cache")
        assert copied["Metadata"] == {"m": "1"}
        assert copied["TagCount"] == 1
    s3.delete_object(Bucket=stored, Key="k")
    assert body(s3, other, "copy") == DATA


def test_metadata_can_be_replaced(s3: Any, stored: str) -> None:
    s3.copy_object(
        Bucket=stored,
        Key="copy",
        CopySource={"Bucket": stored, "Key": "k"},
        MetadataDirective="REPLACE",
        Metadata={"new": "2"},
        ContentType="text/x-b",
    )
    answer = s3.get_object(Bucket=stored, Key="copy")
    assert answer["Metadata"] == {"new": "2"}
    assert answer["ContentType"] == "text/x-b"
    assert "CacheControl" not in answer
    assert answer["Body"].read() == DATA


def test_metadata_of_the_request_does_not_count_without_replace(s3: Any, stored: str) -> None:
    s3.copy_object(Bucket=stored, Key="copy", CopySource={"Bucket": stored, "Key": "k"}, Metadata={"new": "2"})
    assert s3.head_object(Bucket=stored, Key="copy")["Metadata"] == {"m": "1"}


def test_tags_can_be_replaced(s3: Any, stored: str) -> None:
    source = {"Bucket": stored, "Key": "k"}
    s3.copy_object(Bucket=stored, Key="copy", CopySource=source, TaggingDirective="REPLACE", Tagging="a=1&b=2")
    assert s3.get_object(Bucket=stored, Key="copy")["TagCount"] == 2


def test_onto_itself(s3: Any, stored: str) -> None:
    source = {"Bucket": stored, "Key": "k"}
    with fails("InvalidRequest", 400):
        s3.copy_object(Bucket=stored, Key="k", CopySource=source)
    s3.copy_object(Bucket=stored, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "3"})
    answer = s3.get_object(Bucket=stored, Key="k")
    assert (answer["Body"].read(), answer["Metadata"]) == (DATA, {"n": "3"})
    s3.copy_object(Bucket=stored, Key="k", CopySource=source, StorageClass="STANDARD_IA")
    assert s3.head_object(Bucket=stored, Key="k")["StorageClass"] == "STANDARD_IA"
    assert body(s3, stored, "k") == DATA


def test_an_unknown_directive_is_refused(raw: RawClient, stored: str) -> None:
    headers = {"x-amz-copy-source": f"/{stored}/k", "x-amz-metadata-directive": "MERGE"}
    answer = raw.request("PUT", stored, "copy", headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("key", ["ü/ö", "a b", "a+b", "a%2Fb", "a?b=c", "a&b", "a//b", "..", "日本語/絵文字😀"])
def test_sources_of_every_shape(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert body(s3, bucket, "copy") == key.encode()
    s3.copy_object(Bucket=bucket, Key=key + "2", CopySource={"Bucket": bucket, "Key": "copy"})
    assert body(s3, bucket, key + "2") == key.encode()


def test_the_source_with_and_without_its_leading_slash(raw: RawClient, s3: Any, stored: str) -> None:
    for source in (f"/{stored}/k", f"{stored}/k", f"%2F{stored}%2Fk"):
        assert raw.request("PUT", stored, "copy", headers={"x-amz-copy-source": source}).status == 200, source
        assert body(s3, stored, "copy") == DATA


@pytest.mark.parametrize("source", ["", "/", "bucket-only", "/bucket-only", "/bucket-only/"])
def test_sources_that_are_none(raw: RawClient, bucket: str, source: str) -> None:
    answer = raw.request("PUT", bucket, "copy", headers={"x-amz-copy-source": source})
    assert (answer.status, answer.code) == (400, "InvalidArgument"), str(answer)


def test_a_missing_source(s3: Any, stored: str) -> None:
    with fails("NoSuchKey", 404):
        s3.copy_object(Bucket=stored, Key="copy", CopySource={"Bucket": stored, "Key": "none"})
    with fails("NoSuchBucket", 404):
        s3.copy_object(Bucket=stored, Key="copy", CopySource={"Bucket": f"{stored}-none", "Key": "k"})
    assert missing(s3, stored, "copy")


def test_conditions_on_the_source(s3: Any, stored: str) -> None:
    source = {"Bucket": stored, "Key": "k"}
    past, future = (datetime.now(UTC) + timedelta(days=d) for d in (-2, 2))
    good = [
        {"CopySourceIfMatch": etag(DATA)},
        {"CopySourceIfNoneMatch": etag(b"no")},
        {"CopySourceIfModifiedSince": past},
        {"CopySourceIfUnmodifiedSince": future},
        {"CopySourceIfMatch": etag(DATA), "CopySourceIfUnmodifiedSince": past},
    ]
    bad = [
        {"CopySourceIfMatch": etag(b"no")},
        {"CopySourceIfNoneMatch": etag(DATA)},
        {"CopySourceIfUnmodifiedSince": past},
        {"CopySourceIfNoneMatch": etag(DATA), "CopySourceIfModifiedSince": past},
    ]
    for condition in good:
        s3.copy_object(Bucket=stored, Key="copy", CopySource=source, **condition)
    for condition in bad:
        with fails("PreconditionFailed", 412):
            s3.copy_object(Bucket=stored, Key="copy2", CopySource=source, **condition)
    assert missing(s3, stored, "copy2")


def test_a_large_object(s3: Any, bucket: str) -> None:
    data = os.urandom(9_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    assert body(s3, bucket, "copy") == data


def test_a_multipart_object(s3: Any, bucket: str) -> None:
    first, second = os.urandom(5 << 20), b"tail"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"m": "1"})["UploadId"]
    target = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**target, PartNumber=n, Body=data)["ETag"]}
        for n, data in ((1, first), (2, second))
    ]
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    s3.delete_object(Bucket=bucket, Key="k")
    answer = s3.get_object(Bucket=bucket, Key="copy")
    assert answer["Body"].read() == first + second
    assert answer["Metadata"] == {"m": "1"}
    assert answer["ETag"] == etag(first + second)  # a copy is a whole object, not parts


def test_a_body_sent_along_is_not_taken_for_the_object(raw: RawClient, s3: Any, stored: str) -> None:
    answer = raw.request("PUT", stored, "copy", headers={"x-amz-copy-source": f"/{stored}/k"}, body=b"surplus")
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert body(s3, stored, "copy") == DATA
