"""x-amz-checksum-*: declared, verified, returned; whole objects and multipart uploads, FULL_OBJECT and COMPOSITE."""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import Any

import pytest
from awscrt import checksums as crt

from tests.harness.raw import RawClient
from tests.s3.expect import b64, body, content_md5, fails, missing

COMPUTE = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
#: "123456789" in each CRC, from the catalogue of parametrised CRC algorithms: a check on COMPUTE itself
KNOWN = {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}
SMALLEST = 5 << 20


def value(algorithm: str, data: bytes) -> str:
    return b64(COMPUTE[algorithm](data))


def composite(algorithm: str, parts: list[bytes]) -> str:
    return f"{b64(COMPUTE[algorithm](b''.join(COMPUTE[algorithm](part) for part in parts)))}-{len(parts)}"


def header(algorithm: str) -> str:
    return f"x-amz-checksum-{algorithm.lower()}"


@pytest.mark.parametrize("algorithm", KNOWN)
def test_the_yardstick_itself(algorithm: str) -> None:
    assert int.from_bytes(COMPUTE[algorithm](b"123456789"), "big") == KNOWN[algorithm]


@pytest.mark.parametrize("algorithm", COMPUTE)
@pytest.mark.parametrize("size", [0, 9, 100_000])
def test_declared_stored_and_returned(s3: Any, bucket: str, algorithm: str, size: int) -> None:
    data = os.urandom(size)
    expected = value(algorithm, data)
    field = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **{field: expected})
    assert (put[field], put["ChecksumType"]) == (expected, "FULL_OBJECT")
    for call in (s3.get_object, s3.head_object):
        answer = call(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert (answer[field], answer["ChecksumType"]) == (expected, "FULL_OBJECT")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]


def test_not_returned_unasked(raw: RawClient, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    assert not [name for name in raw.request("GET", bucket, "k").headers if name.startswith("x-amz-checksum")]


@pytest.mark.parametrize("algorithm", COMPUTE)
def test_a_wrong_value_is_refused(raw: RawClient, s3: Any, bucket: str, algorithm: str) -> None:
    answer = raw.request("PUT", bucket, "k", headers={header(algorithm): value(algorithm, b"other")}, body=b"data")
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert algorithm in answer.xml().findtext("Message", "")
    assert missing(s3, bucket, "k")


@pytest.mark.parametrize("algorithm", COMPUTE)
@pytest.mark.parametrize(
    "wrong", ["", "AAAA", "not base64!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="]
)
def test_a_malformed_value_is_refused(raw: RawClient, s3: Any, bucket: str, algorithm: str, wrong: str) -> None:
    answer = raw.request("PUT", bucket, "k", headers={header(algorithm): wrong}, body=b"data")
    assert (answer.status, answer.code) == (400, "InvalidRequest"), str(answer)
    assert missing(s3, bucket, "k")


def test_two_declared_values_are_refused(raw: RawClient, bucket: str) -> None:
    headers = {header(name): value(name, b"data") for name in ("CRC32", "SHA256")}
    answer = raw.request("PUT", bucket, "k", headers=headers, body=b"data")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_an_unknown_algorithm_is_refused(raw: RawClient, bucket: str) -> None:
    headers = {"x-amz-sdk-checksum-algorithm": "MD4", "x-amz-checksum-md4": "AAAA"}
    answer = raw.request("PUT", bucket, "k", headers=headers, body=b"data")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_an_announced_algorithm_without_value_is_refused(raw: RawClient, bucket: str) -> None:
    answer = raw.request("PUT", bucket, "k", headers={"x-amz-sdk-checksum-algorithm": "SHA256"}, body=b"data")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_with_content_md5_too(raw: RawClient, bucket: str) -> None:
    headers = {header("CRC32"): value("CRC32", b"data"), "Content-MD5": content_md5(b"data")}
    assert raw.request("PUT", bucket, "k", headers=headers, body=b"data").status == 200


@pytest.mark.parametrize("algorithm", COMPUTE)
def test_botocore_verifies_what_it_reads(s3: Any, bucket: str, algorithm: str) -> None:
    data = os.urandom(70_000)
    s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm=algorithm)
    assert body(s3, bucket, "k", ChecksumMode="ENABLED") == data


def test_a_range_carries_no_checksum_of_the_whole(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", ChecksumAlgorithm="CRC32")
    answer = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-4", ChecksumMode="ENABLED")
    assert answer["Body"].read() == b"01234"
    assert "ChecksumCRC32" not in answer


def test_copies_keep_or_change_the_algorithm(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="CRC32C")
    source = {"Bucket": bucket, "Key": "k"}
    kept = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    assert kept["CopyObjectResult"]["ChecksumCRC32C"] == value("CRC32C", b"data")
    other = s3.copy_object(Bucket=bucket, Key="other", CopySource=source, ChecksumAlgorithm="SHA256")
    assert other["CopyObjectResult"]["ChecksumSHA256"] == value("SHA256", b"data")
    head = s3.head_object(Bucket=bucket, Key="other", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == value("SHA256", b"data")


# -- multipart ----------------------------------------------------------------------------------------------


def upload(
    s3: Any, bucket: str, algorithm: str, kind: str, pieces: list[bytes]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An upload with its parts sent: (target, parts for the completion)."""
    target = {"Bucket": bucket, "Key": "k"}
    created = s3.create_multipart_upload(**target, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (created["ChecksumAlgorithm"], created["ChecksumType"]) == (algorithm, kind)
    target["UploadId"] = created["UploadId"]
    parts = []
    for number, piece in enumerate(pieces, 1):
        answer = s3.upload_part(**target, PartNumber=number, Body=piece, ChecksumAlgorithm=algorithm)
        checksum = answer[f"Checksum{algorithm}"]
        assert checksum == value(algorithm, piece)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], f"Checksum{algorithm}": checksum})
    return target, parts


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("CRC32", "COMPOSITE"),
        ("CRC32C", "COMPOSITE"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_multipart(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    pieces = [os.urandom(SMALLEST), os.urandom(SMALLEST + 13), b"tail"]
    target, parts = upload(s3, bucket, algorithm, kind, pieces)
    listed = s3.list_parts(**target)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    assert [p[f"Checksum{algorithm}"] for p in listed["Parts"]] == [p[f"Checksum{algorithm}"] for p in parts]
    done = s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    whole = b"".join(pieces)
    expected = value(algorithm, whole) if kind == "FULL_OBJECT" else composite(algorithm, pieces)
    assert (done[f"Checksum{algorithm}"], done["ChecksumType"]) == (expected, kind)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (expected, kind)
    assert body(s3, bucket, "k", ChecksumMode="ENABLED") == whole
    part = s3.get_object(Bucket=bucket, Key="k", PartNumber=2, ChecksumMode="ENABLED")
    assert part["Body"].read() == pieces[1]


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")]
)
def test_kinds_that_do_not_exist(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    with fails("InvalidRequest", 400):
        s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)


def test_a_completion_with_a_wrong_part_checksum_is_refused(s3: Any, bucket: str) -> None:
    target, parts = upload(s3, bucket, "SHA256", "COMPOSITE", [b"x"])
    wrong = [{**parts[0], "ChecksumSHA256": value("SHA256", b"y")}]
    with fails("InvalidPart", 400):
        s3.complete_multipart_upload(**target, MultipartUpload={"Parts": wrong})
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})


def test_the_checksum_of_the_whole_is_verified_at_completion(s3: Any, bucket: str) -> None:
    target, parts = upload(s3, bucket, "CRC64NVME", "FULL_OBJECT", [b"123456789"])
    with fails("BadDigest", 400):
        s3.complete_multipart_upload(
            **target,
            MultipartUpload={"Parts": parts},
            ChecksumCRC64NVME=value("CRC64NVME", b"other"),
            ChecksumType="FULL_OBJECT",
        )
    assert missing(s3, bucket, "k")
    done = s3.complete_multipart_upload(
        **target,
        MultipartUpload={"Parts": parts},
        ChecksumCRC64NVME=value("CRC64NVME", b"123456789"),
        ChecksumType="FULL_OBJECT",
    )
    assert done["ChecksumCRC64NVME"] == value("CRC64NVME", b"123456789")


def test_a_part_in_another_algorithm_is_refused(s3: Any, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target, ChecksumAlgorithm="SHA256")["UploadId"]
    with fails("InvalidRequest", 400):
        s3.upload_part(**target, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32C")
