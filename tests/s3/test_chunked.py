"""aws-chunked bodies: signed chunk by chunk, with and without trailers, and unsigned with trailers."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.harness.raw import Answer, RawClient
from tests.harness.signing import STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER, path_of, unsigned_chunks
from tests.s3.expect import body, crc32, etag, missing

DATA = os.urandom(200_000)


def seed(raw: RawClient, bucket: str, mode: str, length: int, **headers: str) -> dict[str, str]:
    extra = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(length), **headers}
    return raw.signer.header("PUT", raw.host, path_of(bucket, "k"), headers=extra, digest=mode)


def send(
    raw: RawClient, bucket: str, headers: dict[str, str], pieces: list[bytes], *, length: int | None = None
) -> Answer:
    full = {**headers, "Content-Length": str(sum(map(len, pieces)) if length is None else length)}
    return raw.send("PUT", path_of(bucket, "k"), full, pieces)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200_000])
@pytest.mark.parametrize("chunk", [8192, 65536, 1 << 20])
def test_signed_chunks(raw: RawClient, s3: Any, bucket: str, size: int, chunk: int) -> None:
    data = DATA[:size]
    headers = seed(raw, bucket, STREAMING, size)
    answer = send(raw, bucket, headers, raw.signer.chunks(headers, data, chunk))
    assert (answer.status, answer.headers.get("etag")) == (200, etag(data)), str(answer)
    stored = s3.get_object(Bucket=bucket, Key="k")
    assert stored["Body"].read() == data
    assert "ContentEncoding" not in stored


def test_signed_chunks_with_a_signed_trailer(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING_TRAILER, len(DATA), **{"X-Amz-Trailer": "x-amz-checksum-crc32"})
    answer = send(raw, bucket, headers, raw.signer.chunks(headers, DATA, trailer={"x-amz-checksum-crc32": crc32(DATA)}))
    assert answer.status == 200, str(answer)
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"] == crc32(DATA)
    assert body(s3, bucket, "k") == DATA


def test_unsigned_chunks_with_a_trailer(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING_UNSIGNED_TRAILER, len(DATA), **{"X-Amz-Trailer": "x-amz-checksum-crc32"})
    answer = send(raw, bucket, headers, unsigned_chunks(DATA, trailer={"x-amz-checksum-crc32": crc32(DATA)}))
    assert answer.status == 200, str(answer)
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"] == crc32(DATA)
    assert body(s3, bucket, "k") == DATA


def test_unsigned_chunks_without_a_trailer(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING_UNSIGNED_TRAILER, len(DATA))
    assert send(raw, bucket, headers, unsigned_chunks(DATA)).status == 200
    assert body(s3, bucket, "k") == DATA


def flip(piece: bytes, offset: int) -> bytes:
    return piece[:offset] + bytes([piece[offset] ^ 1]) + piece[offset + 1 :]


@pytest.mark.parametrize("which", [0, 1, -2])
def test_a_changed_byte_in_any_chunk_is_refused(raw: RawClient, s3: Any, bucket: str, which: int) -> None:
    headers = seed(raw, bucket, STREAMING, len(DATA))
    pieces = raw.signer.chunks(headers, DATA)
    pieces[which] = flip(pieces[which], len(pieces[which]) // 2)
    answer = send(raw, bucket, headers, pieces)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), str(answer)
    assert missing(s3, bucket, "k")


def test_chunks_in_another_order_are_refused(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING, len(DATA))
    pieces = raw.signer.chunks(headers, DATA)
    pieces[0], pieces[1] = pieces[1], pieces[0]
    answer = send(raw, bucket, headers, pieces)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert missing(s3, bucket, "k")


def test_the_last_chunk_is_verified_too(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING, len(DATA))
    pieces = raw.signer.chunks(headers, DATA)
    pieces[-1] = b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"
    answer = send(raw, bucket, headers, pieces)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert missing(s3, bucket, "k")


def test_a_body_without_its_last_chunk_is_refused(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING, len(DATA))
    answer = send(raw, bucket, headers, raw.signer.chunks(headers, DATA)[:-1])
    assert (answer.status, answer.code) in ((400, "IncompleteBody"), (400, "InvalidRequest")), str(answer)
    assert missing(s3, bucket, "k")


@pytest.mark.parametrize("declared", [len(DATA) - 1, len(DATA) + 1, 0])
def test_another_length_than_declared_is_refused(raw: RawClient, s3: Any, bucket: str, declared: int) -> None:
    for mode in (STREAMING, STREAMING_UNSIGNED_TRAILER):
        headers = seed(raw, bucket, mode, declared)
        pieces = raw.signer.chunks(headers, DATA) if mode == STREAMING else unsigned_chunks(DATA)
        answer = send(raw, bucket, headers, pieces)
        assert answer.status == 400, str(answer)
        assert answer.code in ("IncompleteBody", "InvalidRequest"), str(answer)
        assert missing(s3, bucket, "k")


@pytest.mark.parametrize("declared", ["", "x", "-1", "1.5"])
def test_a_declared_length_that_is_none(raw: RawClient, bucket: str, declared: str) -> None:
    headers = raw.signer.header(
        "PUT",
        raw.host,
        path_of(bucket, "k"),
        headers={"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": declared},
        digest=STREAMING,
    )
    answer = send(raw, bucket, headers, raw.signer.chunks(headers, b"x"))
    assert 400 <= answer.status < 500, str(answer)


def test_a_missing_decoded_length(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, path_of(bucket, "k"), digest=STREAMING)
    answer = send(raw, bucket, headers, raw.signer.chunks(headers, b"x"))
    assert (answer.status, answer.code) == (411, "MissingContentLength")


def test_a_wrong_checksum_in_the_trailer(raw: RawClient, s3: Any, bucket: str) -> None:
    wrong = {"x-amz-checksum-crc32": crc32(b"other")}
    announced = {"X-Amz-Trailer": "x-amz-checksum-crc32"}
    headers = seed(raw, bucket, STREAMING_UNSIGNED_TRAILER, len(DATA), **announced)
    answer = send(raw, bucket, headers, unsigned_chunks(DATA, trailer=wrong))
    assert (answer.status, answer.code) == (400, "BadDigest")
    headers = seed(raw, bucket, STREAMING_TRAILER, len(DATA), **announced)
    answer = send(raw, bucket, headers, raw.signer.chunks(headers, DATA, trailer=wrong))
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert missing(s3, bucket, "k")


def test_a_changed_trailer_is_refused(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING_TRAILER, 4, **{"X-Amz-Trailer": "x-amz-checksum-crc32"})
    pieces = raw.signer.chunks(headers, b"data", trailer={"x-amz-checksum-crc32": crc32(b"DATA")})
    pieces[-1] = pieces[-1].replace(crc32(b"DATA").encode(), crc32(b"data").encode())
    answer = send(raw, bucket, headers, pieces)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), str(answer)
    assert missing(s3, bucket, "k")


def test_an_announced_trailer_that_does_not_come(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING_UNSIGNED_TRAILER, 4, **{"X-Amz-Trailer": "x-amz-checksum-crc32"})
    answer = send(raw, bucket, headers, unsigned_chunks(b"data"))
    assert answer.status == 400, str(answer)
    assert missing(s3, bucket, "k")


@pytest.mark.parametrize(
    "sent",
    [
        b"zz\r\ndata\r\n0\r\n\r\n",
        b"-4\r\ndata\r\n0\r\n\r\n",
        b"4\r\ndataXX0\r\n\r\n",
        b"4 \r\ndata\r\n0\r\n\r\n",
        b"ffffffffffffffffffff\r\ndata\r\n0\r\n\r\n",
        b"4\ndata\n0\n\n",
        b"data",
        b"4\r\nda",
        b"4" + b";x" * 20_000 + b"\r\ndata\r\n0\r\n\r\n",
        b"1" * 100_000,
        b"4\r\ndata\r\n0\r\nx-amz-checksum-crc32" + b"x" * 100_000,
    ],
)
def test_framing_that_is_none(raw: RawClient, s3: Any, bucket: str, sent: bytes) -> None:
    headers = seed(raw, bucket, STREAMING_UNSIGNED_TRAILER, 4)
    answer = send(raw, bucket, headers, [sent])
    assert answer.status == 400, str(answer)
    assert missing(s3, bucket, "k")


def test_bytes_after_the_last_chunk_are_refused(raw: RawClient, s3: Any, bucket: str) -> None:
    headers = seed(raw, bucket, STREAMING_UNSIGNED_TRAILER, 4)
    answer = send(raw, bucket, headers, [*unsigned_chunks(b"data"), b"surplus"])
    assert answer.status == 400, str(answer)
    assert missing(s3, bucket, "k")


def test_chunked_parts_of_a_multipart_upload(raw: RawClient, s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    query = f"partNumber=1&uploadId={upload}"
    extra = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(len(DATA))}
    path = path_of(bucket, "k")
    headers = raw.signer.header("PUT", raw.host, path, query, extra, STREAMING)
    pieces = raw.signer.chunks(headers, DATA)
    full = {**headers, "Content-Length": str(sum(map(len, pieces)))}
    assert raw.send("PUT", f"{path}?{query}", full, pieces).headers["etag"] == etag(DATA)


def test_boto3_streams_with_a_trailer_over_http(s3: Any, bucket: str, tmp_path: Any) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    with file.open("rb") as opened:
        s3.put_object(Bucket=bucket, Key="k", Body=opened, ChecksumAlgorithm="CRC32")
    assert body(s3, bucket, "k") == DATA
