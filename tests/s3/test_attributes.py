"""GetObjectAttributes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.expect import crc32, etag, fails


def test_a_plain_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "ObjectSize", "StorageClass", "Checksum", "ObjectParts"]
    answer = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert answer["ETag"] == etag(b"data").strip('"')
    assert answer["ObjectSize"] == 4
    assert answer["StorageClass"] == "STANDARD"
    assert answer["Checksum"]["ChecksumSHA256"]
    assert "ObjectParts" not in answer
    assert answer["LastModified"] == s3.head_object(Bucket=bucket, Key="k")["LastModified"]


def test_only_what_was_asked_for(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    answer = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert answer["ObjectSize"] == 4
    assert not {"ETag", "StorageClass", "Checksum", "ObjectParts"} & set(answer)


def test_parts_and_their_pages(s3: Any, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**target, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE")["UploadId"]
    data = [b"a" * (5 << 20), b"b" * (5 << 20), b"c"]
    parts = []
    for number, piece in enumerate(data, 1):
        part = s3.upload_part(**target, UploadId=upload, PartNumber=number, Body=piece, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": parts})
    wanted = ["ObjectParts", "Checksum", "ObjectSize"]
    answer = s3.get_object_attributes(**target, ObjectAttributes=wanted)
    assert answer["ObjectSize"] == sum(map(len, data))
    assert answer["ObjectParts"]["TotalPartsCount"] == 3
    assert answer["Checksum"]["ChecksumType"] == "COMPOSITE"
    assert [(p["PartNumber"], p["Size"], p["ChecksumCRC32"]) for p in answer["ObjectParts"]["Parts"]] == [
        (n, len(piece), crc32(piece)) for n, piece in enumerate(data, 1)
    ]
    page = s3.get_object_attributes(**target, ObjectAttributes=wanted, MaxParts=2)["ObjectParts"]
    assert (page["IsTruncated"], page["MaxParts"], page["NextPartNumberMarker"]) == (True, 2, 2)
    page = s3.get_object_attributes(**target, ObjectAttributes=wanted, MaxParts=2, PartNumberMarker=2)["ObjectParts"]
    assert page["IsTruncated"] is False
    assert [p["PartNumber"] for p in page["Parts"]] == [3]


def test_refusals(s3: Any, raw: RawClient, bucket: str) -> None:
    with fails("NoSuchKey", 404):
        s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag"])
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    for headers in ({}, {"x-amz-object-attributes": "Colour"}):
        answer = raw.request("GET", bucket, "k", {"attributes": ""}, headers=headers)
        assert (answer.status, answer.code) == (400, "InvalidArgument"), str(answer)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_each_checksum_is_told(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm=algorithm)
    answer = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
    assert answer["Checksum"][f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert answer["Checksum"]["ChecksumType"] == "FULL_OBJECT"
