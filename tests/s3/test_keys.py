"""Keys of every shape: each is its own object, readable, listed, deletable, and none leaves the bucket."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.expect import body, fails, missing

SHAPES = [
    "a",
    "a/b",
    "a/b/c",
    "a/",
    "a//",
    "a//b",
    "/",
    "//",
    "///",
    "/lead",
    "..",
    ".",
    "../../etc/passwd",
    "a/../b",
    "a/./b",
    "a/..",
    "./a",
    "~",
    "~root",
    "con",
    "a\\b",
    "a:b",
    "a*b?c",
    "a|b",
    'a"b',
    "a'b",
    "a;b",
    "a,b",
    "a=b",
    "a&b",
    "a+b",
    "a b",
    " a",
    "a ",
    "a%20b",
    "a%2Fb",
    "a%00b",
    "%",
    "%zz",
    "#",
    "a#b",
    "?x=y",
    "[a]{b}(c)",
    "<a>&amp;",
    "`$(id)`",
    "-rf",
    "A",
    "Ä",
    "A\u0308",
    "ä",
    "日本語",
    "\U0001f600",
    "\u202e\u200f",
    "\ufeff",
    "\ufffd",
    "a\tb",
    "a\nb",
    "a\rb",
    "a\x01b",
    "a\x7fb",
    ".sequence",
    ".tmp",
    "wal.log",
    "index.sqlite",
    "x" * 255,
    "x" * 256,
    "x" * 1024,
    "/".join("x" * 255 for _ in range(4)),
    "ö" * 512,
    "\U0001f600" * 256,
    "/" * 1024,
    "../" * 341,
]


def test_all_shapes_side_by_side(s3: Any, bucket: str) -> None:
    contents = {key: f"{i}:{key}".encode() for i, key in enumerate(SHAPES)}
    for key, data in contents.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    for key, data in contents.items():
        assert body(s3, bucket, key) == data, ascii(key)
    listed: list[str] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 7}):
        listed += [entry["Key"] for entry in page["Contents"]]
    assert listed == sorted(SHAPES, key=str.encode)
    for key in SHAPES[::2]:
        s3.delete_object(Bucket=bucket, Key=key)
    for key in SHAPES[1::2]:
        assert body(s3, bucket, key) == contents[key], ascii(key)
    for key in SHAPES[::2]:
        assert missing(s3, bucket, key), ascii(key)


@pytest.mark.parametrize("key", ["ü/ö ä", "a/../b", "a%2Fb", "\U0001f600", "x" * 1024, "a//", "a\nb"])
def test_uploads_and_copies_of_shapes(s3: Any, bucket: str, key: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    listed = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [u["Key"] for u in listed] == [key]
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert done["Key"] == key
    assert body(s3, bucket, key) == b"part"


def test_1025_bytes_are_too_long(s3: Any, bucket: str) -> None:
    for key in ("x" * 1025, "ö" * 512 + "x"):
        with fails("KeyTooLongError", 400) as failure:
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        assert failure.response["Error"]["MaxSizeAllowed"] == "1024"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_bytes_that_are_not_utf_8(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}/a%FFb")
    answer = raw.send("PUT", f"/{bucket}/a%FFb", headers, b"x")
    assert 400 <= answer.status < 500, str(answer)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("path", ["/%zz", "/{0}/a%2", "/{0}/a%", "/{0}/%u0041"])
def test_percent_signs_that_encode_nothing(raw: RawClient, bucket: str, path: str) -> None:
    target = path.format(bucket)
    answer = raw.send("GET", target, raw.signer.header("GET", raw.host, target))
    assert 400 <= answer.status < 500, str(answer)


def test_keys_in_a_plus_and_a_space_differ(raw: RawClient, s3: Any, bucket: str) -> None:
    """In a path a plus sign is a plus sign."""
    s3.put_object(Bucket=bucket, Key="a+b", Body=b"plus")
    s3.put_object(Bucket=bucket, Key="a b", Body=b"space")
    assert raw.request("GET", bucket, "a+b").body == b"plus"
    assert raw.request("GET", bucket, "a b").body == b"space"


def test_dots_are_not_resolved_over_the_bucket(raw: RawClient, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=f"../{bucket}/k", Body=b"own")
    assert missing(s3, bucket, "k")
    assert raw.request("GET", bucket, f"../{bucket}/k").body == b"own"


def test_a_thousand_keys_in_one_folder_and_a_deep_one(s3: Any, bucket: str) -> None:
    deep = "/".join("d" for _ in range(512))
    s3.put_object(Bucket=bucket, Key=deep, Body=b"deep")
    assert body(s3, bucket, deep) == b"deep"
    data = os.urandom(10)
    for i in range(100):
        s3.put_object(Bucket=bucket, Key=f"d/{i}", Body=data)
    page = s3.list_objects_v2(Bucket=bucket, Prefix="d/", Delimiter="/")
    assert len(page["Contents"]) == 100
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["d/d/"]
