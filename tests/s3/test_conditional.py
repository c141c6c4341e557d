"""Conditions on reads (RFC 9110 and S3's own table) and on writes (decided at commit)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.expect import body, etag, fails, missing

DATA = b"conditional"
TAG = etag(DATA)
OTHER = etag(b"other")
PAST = datetime.now(UTC) - timedelta(days=2)
FUTURE = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=DATA)
    return bucket


HOLDS = [
    {"IfMatch": TAG},
    {"IfMatch": TAG.strip('"')},
    {"IfMatch": "*"},
    {"IfMatch": f"{OTHER}, {TAG}"},
    {"IfNoneMatch": OTHER},
    {"IfModifiedSince": PAST},
    {"IfUnmodifiedSince": FUTURE},
    {"IfMatch": TAG, "IfUnmodifiedSince": PAST},  # If-Match decides
    {"IfNoneMatch": OTHER, "IfModifiedSince": FUTURE},  # If-None-Match decides
]
FAILS = [{"IfMatch": OTHER}, {"IfUnmodifiedSince": PAST}, {"IfMatch": OTHER, "IfUnmodifiedSince": FUTURE}]
UNCHANGED = [
    {"IfNoneMatch": TAG},
    {"IfNoneMatch": "*"},
    {"IfNoneMatch": f"{OTHER}, {TAG}"},
    {"IfNoneMatch": TAG, "IfModifiedSince": PAST},
]


@pytest.mark.parametrize("condition", HOLDS)
def test_a_read_whose_condition_holds(s3: Any, stored: str, condition: dict[str, Any]) -> None:
    assert body(s3, stored, "k", **condition) == DATA
    s3.head_object(Bucket=stored, Key="k", **condition)


@pytest.mark.parametrize("condition", FAILS)
def test_a_read_whose_condition_fails(s3: Any, stored: str, condition: dict[str, Any]) -> None:
    with fails("PreconditionFailed", 412):
        s3.get_object(Bucket=stored, Key="k", **condition)
    with fails("412", 412):
        s3.head_object(Bucket=stored, Key="k", **condition)


@pytest.mark.parametrize("condition", UNCHANGED)
def test_a_read_of_what_the_client_has(s3: Any, stored: str, condition: dict[str, Any]) -> None:
    with fails("304", 304):
        s3.get_object(Bucket=stored, Key="k", **condition)
    with fails("304", 304):
        s3.head_object(Bucket=stored, Key="k", **condition)


def test_not_modified_since_its_own_date(s3: Any, stored: str) -> None:
    modified = s3.head_object(Bucket=stored, Key="k")["LastModified"]
    with fails("304", 304):
        s3.get_object(Bucket=stored, Key="k", IfModifiedSince=modified)
    assert body(s3, stored, "k", IfUnmodifiedSince=modified) == DATA


def test_304_carries_the_etag_and_no_body(raw: RawClient, stored: str) -> None:
    answer = raw.request("GET", stored, "k", headers={"If-None-Match": TAG})
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == TAG
    assert "last-modified" in answer.headers


def test_a_date_that_is_none_is_ignored(raw: RawClient, stored: str) -> None:
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        assert raw.request("GET", stored, "k", headers={name: "yesterday"}).status == 200


def test_the_condition_comes_before_the_range(raw: RawClient, stored: str) -> None:
    headers = {"If-Match": OTHER, "Range": "bytes=5000-"}
    assert raw.request("GET", stored, "k", headers=headers).status == 412


def test_a_condition_on_a_missing_key_is_not_found(s3: Any, bucket: str) -> None:
    for condition in ({"IfMatch": TAG}, {"IfNoneMatch": "*"}):
        with fails("NoSuchKey", 404):
            s3.get_object(Bucket=bucket, Key="k", **condition)


# -- writes -------------------------------------------------------------------------------------------------


def test_put_only_if_absent(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert body(s3, bucket, "k") == b"first"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"third", IfNoneMatch="*")
    assert body(s3, bucket, "k") == b"third"


def test_put_only_over_a_known_version(s3: Any, stored: str) -> None:
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=stored, Key="k", Body=b"new", IfMatch=OTHER)
    assert body(s3, stored, "k") == DATA
    s3.put_object(Bucket=stored, Key="k", Body=b"new", IfMatch=TAG)
    assert body(s3, stored, "k") == b"new"


def test_put_if_match_of_a_missing_key_is_not_found(s3: Any, bucket: str) -> None:
    with fails("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="k", Body=b"new", IfMatch=TAG)
    assert missing(s3, bucket, "k")


def test_copy_conditions_on_the_target(s3: Any, stored: str) -> None:
    source = {"Bucket": stored, "Key": "k"}
    s3.copy_object(Bucket=stored, Key="new", CopySource=source, IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        s3.copy_object(Bucket=stored, Key="new", CopySource=source, IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        s3.copy_object(Bucket=stored, Key="new", CopySource=source, IfMatch=OTHER)
    s3.copy_object(Bucket=stored, Key="new", CopySource=source, IfMatch=TAG)


def test_complete_conditions(s3: Any, stored: str) -> None:
    def upload() -> dict[str, Any]:
        target = {"Bucket": stored, "Key": "k"}
        upload_id = s3.create_multipart_upload(**target)["UploadId"]
        part = s3.upload_part(**target, UploadId=upload_id, PartNumber=1, Body=b"multi")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        return {**target, "UploadId": upload_id, "MultipartUpload": parts}

    with fails("PreconditionFailed", 412):
        s3.complete_multipart_upload(**upload(), IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        s3.complete_multipart_upload(**upload(), IfMatch=OTHER)
    assert body(s3, stored, "k") == DATA
    s3.complete_multipart_upload(**upload(), IfMatch=TAG)
    assert body(s3, stored, "k") == b"multi"


def test_delete_conditions(s3: Any, stored: str) -> None:
    with fails("PreconditionFailed", 412):
        s3.delete_object(Bucket=stored, Key="k", IfMatch=OTHER)
    assert body(s3, stored, "k") == DATA
    s3.delete_object(Bucket=stored, Key="k", IfMatch=TAG)
    assert missing(s3, stored, "k")


def test_delete_many_with_conditions(s3: Any, stored: str) -> None:
    s3.put_object(Bucket=stored, Key="other", Body=DATA)
    objects = [{"Key": "k", "ETag": OTHER}, {"Key": "other", "ETag": TAG}]
    answer = s3.delete_objects(Bucket=stored, Delete={"Objects": objects})
    assert [d["Key"] for d in answer["Deleted"]] == ["other"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("k", "PreconditionFailed")]
