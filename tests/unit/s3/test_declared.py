"""What a write's headers declare, and what S3 says of declarations that make no sense."""

import hashlib

import pytest

from ironbucket import checksums
from ironbucket.errors import InvalidArgument, InvalidDigest, InvalidRequest, MissingContentLength, S3Error
from ironbucket.node.body import Expected
from ironbucket.s3.chunked import content_encoding, expected
from ironbucket.s3.credentials import Identity
from ironbucket.s3.sigv4 import STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER, UNSIGNED, Authentication
from ironbucket.signature import Signer
from tests.unit.s3.support import request

SHA256 = hashlib.sha256(b"data").hexdigest()
CRC32 = "rfPzYw=="
MD5 = checksums.encode(hashlib.md5(b"data").digest())


def declare(mode: str = UNSIGNED, **headers: str) -> Expected:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    signer = Signer(bytes(32))
    authentication = Authentication(Identity("a", "b", "c", "d"), mode, "0" * 64, signer, "scope", "20130524T000000Z")
    return expected(request("PUT", "/b/k", named), authentication)


def test_a_plain_body() -> None:
    assert declare(content_length="4") == Expected(length=4)
    assert declare(SHA256, content_length="4") == Expected(length=4, sha256=SHA256)
    assert declare(content_length="4", content_md5=MD5) == Expected(length=4, md5=hashlib.md5(b"data").digest())
    assert declare(content_length="4", x_amz_checksum_crc32=CRC32) == Expected(length=4, checksums={"crc32": CRC32})
    assert declare(transfer_encoding="chunked") == Expected(length=None)


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_every_algorithm_in_header_and_trailer(algorithm: str) -> None:
    name, value = f"x-amz-checksum-{algorithm}", checksums.encode(bytes(checksums.SIZES[algorithm]))
    header = declare(content_length="4", x_amz_sdk_checksum_algorithm=algorithm.upper(), **{name: value})
    assert header.checksums == {algorithm: value}
    trailer = declare(
        STREAMING_TRAILER,
        x_amz_decoded_content_length="4",
        x_amz_trailer=name,
        x_amz_sdk_checksum_algorithm=algorithm.upper(),
    )
    assert trailer == Expected(length=4, trailer_checksum=algorithm)


def test_a_chunked_body_has_its_decoded_length() -> None:
    chunked = {"content_length": "90", "x_amz_decoded_content_length": "4"}
    assert declare(STREAMING, **chunked) == Expected(length=4)
    trailer = declare(STREAMING_UNSIGNED_TRAILER, **chunked, x_amz_trailer="X-Amz-Checksum-CRC32")
    assert trailer == Expected(length=4, trailer_checksum="crc32")
    assert declare(STREAMING_UNSIGNED_TRAILER, **chunked).trailer_checksum is None


@pytest.mark.parametrize(
    ("mode", "headers", "error", "message"),
    [
        (UNSIGNED, {}, MissingContentLength, "must provide"),
        (STREAMING, {"content_length": "4"}, MissingContentLength, "must provide"),
        (UNSIGNED, {"content_length": "-4"}, InvalidArgument, "not a number"),
        (UNSIGNED, {"content_length": "²"}, InvalidArgument, "not a number"),
        (STREAMING, {"x_amz_decoded_content_length": "0x4"}, InvalidArgument, "not a number"),
        (UNSIGNED, {"content_length": "4", "content_encoding": "aws-chunked"}, InvalidArgument, "aws-chunked"),
        (UNSIGNED, {"content_md5": "AAAA"}, InvalidDigest, "Content-MD5"),
        (UNSIGNED, {"content_md5": SHA256}, InvalidDigest, "Content-MD5"),
        (UNSIGNED, {"content_md5": ""}, InvalidDigest, "Content-MD5"),
        (UNSIGNED, {"x_amz_checksum_crc32": "x"}, InvalidRequest, "Value for x-amz-checksum-crc32 header is invalid."),
        (UNSIGNED, {"x_amz_checksum_sha1": CRC32}, InvalidRequest, "Value for x-amz-checksum-sha1 header is invalid."),
        (UNSIGNED, {"x_amz_checksum_xxhash64": CRC32}, InvalidRequest, "not supported"),
        (
            UNSIGNED,
            {"x_amz_checksum_crc32": CRC32, "x_amz_checksum_crc32c": CRC32},
            InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ),
        (UNSIGNED, {"x_amz_sdk_checksum_algorithm": "CRC32"}, InvalidRequest, "no corresponding x-amz-checksum-"),
        (
            UNSIGNED,
            {"x_amz_sdk_checksum_algorithm": "MD4", "x_amz_checksum_crc32": CRC32},
            InvalidRequest,
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        ),
        (
            UNSIGNED,
            {"x_amz_sdk_checksum_algorithm": "SHA1", "x_amz_checksum_crc32": CRC32},
            InvalidRequest,
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        ),
        (STREAMING_TRAILER, {"x_amz_trailer": "x-amz-meta-a"}, InvalidRequest, "x-amz-trailer header is not supported"),
        (STREAMING_TRAILER, {"x_amz_trailer": "crc32"}, InvalidRequest, "x-amz-trailer header is not supported"),
        (
            STREAMING_TRAILER,
            {"x_amz_trailer": "x-amz-checksum-crc32, x-amz-checksum-sha1"},
            InvalidRequest,
            "Expecting a single",
        ),
        (
            STREAMING_TRAILER,
            {"x_amz_trailer": "x-amz-checksum-crc32", "x_amz_checksum_crc32": CRC32},
            InvalidRequest,
            "Expecting a single",
        ),
    ],
)
def test_what_cannot_be_meant(mode: str, headers: dict[str, str], error: type[S3Error], message: str) -> None:
    lengths = {} if error is MissingContentLength else {"content_length": "4", "x_amz_decoded_content_length": "4"}
    with pytest.raises(error, match=message):
        declare(mode, **{**lengths, **headers})


def test_headers_that_only_look_like_checksums() -> None:
    more = {"x_amz_checksum_mode": "ENABLED", "x_amz_checksum_type": "COMPOSITE", "x_amz_checksum_algorithm": "SHA1"}
    assert declare(content_length="4", **more) == Expected(length=4)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (None, None),
        ("", ""),
        ("gzip", "gzip"),
        ("gzip, br", "gzip, br"),
        ("aws-chunked", None),
        ("AWS-Chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("aws-chunked, gzip, br", "gzip,br"),
        ("aws-chunked,", None),
    ],
)
def test_the_content_encoding_to_store(sent: str | None, stored: str | None) -> None:
    assert content_encoding(sent) == stored
