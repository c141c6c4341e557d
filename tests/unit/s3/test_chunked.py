"""aws-chunked bodies: S3's published examples, every way to split them, and every way to damage them."""

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket import checksums, signature
from ironbucket.errors import (
    IncompleteBody,
    InvalidRequest,
    MalformedTrailerError,
    MissingContentLength,
    S3Error,
    SignatureDoesNotMatch,
)
from ironbucket.node.body import Body
from ironbucket.s3.chunked import body
from ironbucket.s3.sigv4 import (
    STREAMING,
    STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    Authentication,
    authenticate,
)
from tests.unit.s3.support import ACCESS_KEY, CREDENTIALS, NOW, SECRET, Source, request

SCOPE = "20130524/us-east-1/s3/aws4_request"
STAMP = "20130524T000000Z"
SEED = "0" * 64
KEY = signature.signing_key(SECRET, "20130524", "us-east-1", "s3")
FOUND = CREDENTIALS.lookup(ACCESS_KEY)
assert FOUND is not None
IDENTITY = FOUND[1]


def signed(to_sign: str) -> str:
    return signature.Signer(KEY).sign(to_sign.encode())


def encode(mode: str, chunks: list[bytes], trailers: Mapping[str, str] | None = None) -> bytes:
    """The client's side, written from S3's pages."""
    previous, encoded = SEED, b""
    for chunk in [*chunks, b""]:
        digest, empty = hashlib.sha256(chunk).hexdigest(), hashlib.sha256(b"").hexdigest()
        previous = signed(f"AWS4-HMAC-SHA256-PAYLOAD\n{STAMP}\n{SCOPE}\n{previous}\n{empty}\n{digest}")
        extension = b"" if mode == STREAMING_UNSIGNED_TRAILER else b";chunk-signature=" + previous.encode()
        encoded += b"%x%b\r\n" % (len(chunk), extension)
        encoded += chunk + b"\r\n" if chunk else b""
    for name, value in (trailers or {}).items():
        encoded += f"{name}:{value}\r\n".encode()
    if mode == STREAMING_TRAILER:
        digest = hashlib.sha256("".join(f"{n}:{v}\n" for n, v in (trailers or {}).items()).encode()).hexdigest()
        proof = signed(f"AWS4-HMAC-SHA256-TRAILER\n{STAMP}\n{SCOPE}\n{previous}\n{digest}")
        encoded += b"x-amz-trailer-signature:" + proof.encode() + b"\r\n"
    return encoded + b"\r\n"


def decoder(mode: str, encoded: bytes, length: int, trailer: str = "", step: int = 1 << 30) -> Body:
    headers = {"x-amz-decoded-content-length": str(length)} | ({"x-amz-trailer": trailer} if trailer else {})
    subject = request("PUT", "/b/k", headers, Source(encoded, step))
    return body(subject, Authentication(IDENTITY, mode, SEED, signature.Signer(KEY), SCOPE, STAMP))


def read(subject: Body, size: int = 1 << 20) -> bytes:
    buffer, data = memoryview(bytearray(size)), b""
    while count := subject.readinto(buffer):
        data += buffer[:count]
    assert subject.readinto(buffer) == 0
    return data


# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html
DOCUMENTED = {
    STREAMING: (
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        "",
    ),
    STREAMING_TRAILER: (
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        "x-amz-checksum-crc32c:sOO8/Q==%bx-amz-trailer-signature:"
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
    ),
}


@pytest.mark.parametrize("gap", [b"\r\n", b"\n\r\n"], ids=["as SDKs send it", "as the page shows it"])
@pytest.mark.parametrize("mode", DOCUMENTED)
def test_the_published_examples(mode: str, gap: bytes) -> None:
    seed, first, second, last, trailers = DOCUMENTED[mode]
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": STAMP,
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": mode,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
    }
    headers |= {"x-amz-trailer": "x-amz-checksum-crc32c"} if trailers else {"content-length": "66824"}
    names = ";".join(sorted(headers))
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{SCOPE},SignedHeaders={names},Signature={seed}"
    )
    encoded = (
        f"10000;chunk-signature={first}\r\n{'a' * 65536}\r\n400;chunk-signature={second}\r\n{'a' * 1024}\r\n"
        f"0;chunk-signature={last}\r\n"
    ).encode()
    encoded += trailers.encode().replace(b"%b", gap) + b"\r\n"
    subject = request("PUT", "/examplebucket/chunkObject.txt", headers, Source(encoded))
    decoded = body(subject, authenticate(subject, CREDENTIALS, region="us-east-1", now=NOW))
    assert decoded.trailers() == {}
    assert read(decoded) == b"a" * 66560
    assert decoded.trailers() == ({"x-amz-checksum-crc32c": "sOO8/Q=="} if trailers else {})


def crc32(data: bytes) -> str:
    hasher = checksums.hasher("crc32")
    hasher.update(data)
    return checksums.encode(hasher.digest())


MODES = (STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER)
CHUNKS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=20),
        st.builds(lambda size: bytes(range(256)) * size, st.integers(1, 600)),
    ),
    max_size=6,
)


def example(mode: str, chunks: list[bytes]) -> tuple[bytes, bytes, str]:
    """Data, its encoded form, and the trailer to announce."""
    data = b"".join(chunks)
    trailers = {} if mode == STREAMING else {"x-amz-checksum-crc32": crc32(data)}
    return data, encode(mode, chunks, trailers), next(iter(trailers), "")


@given(st.sampled_from(MODES), CHUNKS, st.integers(1, 100_000), st.integers(1, 200_000))
def test_what_is_encoded_is_decoded(mode: str, chunks: list[bytes], step: int, size: int) -> None:
    step, size = max(step, sum(map(len, chunks)) // 500), max(size, sum(map(len, chunks)) // 500)
    data, encoded, trailer = example(mode, chunks)
    subject = decoder(mode, encoded, len(data), trailer, step)
    assert read(subject, size) == data
    assert subject.trailers() == ({trailer: crc32(data)} if trailer else {})


@pytest.mark.parametrize("mode", MODES)
def test_it_may_arrive_in_two_parts_split_at_every_byte(mode: str) -> None:
    data, encoded, trailer = example(mode, [b"hello", b"\r\n0;chunk-signature=", b"x" * 40])

    class Split(Source):
        def readinto(self, buffer: memoryview) -> int:
            count = super().readinto(buffer)
            self.step = len(self.data)
            return count

    for split in range(1, len(encoded)):
        subject = decoder(mode, b"", len(data), trailer)
        subject._source = Split(encoded, split).readinto  # type: ignore[attr-defined]
        assert read(subject, 7) == data


@pytest.mark.parametrize("mode", MODES)
def test_it_may_arrive_byte_by_byte(mode: str) -> None:
    data, encoded, trailer = example(mode, [b"hello", b"world!"])
    assert read(decoder(mode, encoded, len(data), trailer, step=1), 1) == data


@pytest.mark.parametrize("mode", MODES)
def test_the_end_is_verified_for_a_caller_who_stops_at_the_declared_length(mode: str) -> None:
    data, encoded, trailer = example(mode, [b"hello", b"world!"])
    subject = decoder(mode, encoded[:-4] + b"X\r\n\r", len(data), trailer)
    with pytest.raises(S3Error):
        subject.readinto(memoryview(bytearray(len(data))))


@pytest.mark.parametrize("mode", MODES)
def test_cut_at_every_byte_it_is_incomplete(mode: str) -> None:
    data, encoded, trailer = example(mode, [b"hello", b"world!"])
    for end in range(len(encoded) - 1):
        if end == len(encoded) - 2:  # the last, empty line is not missed
            continue
        with pytest.raises((IncompleteBody, MalformedTrailerError)):
            read(decoder(mode, encoded[:end], len(data), trailer))


@pytest.mark.parametrize("mode", [STREAMING, STREAMING_TRAILER])
def test_flipped_at_any_byte_a_signed_body_is_refused(mode: str) -> None:
    data, encoded, trailer = example(mode, [b"hello", b"world!"])
    for position in range(len(encoded) - 2):
        changed = bytearray(encoded)
        changed[position] ^= 1
        try:
            decoded = read(decoder(mode, bytes(changed), len(data), trailer))
        except S3Error:
            continue
        pytest.fail(f"byte {position} was changed, and {decoded!r} was accepted")


@given(st.sampled_from(MODES), st.data())
def test_whatever_arrives_is_decoded_or_refused_with_an_s3_error(mode: str, data: st.DataObject) -> None:
    _, encoded, trailer = example(mode, [b"hello", b"world!"])
    position = data.draw(st.integers(0, len(encoded)))
    changed = encoded[:position] + data.draw(st.binary(max_size=8)) + encoded[data.draw(st.integers(0, len(encoded))) :]
    try:
        decoded = read(decoder(mode, changed, 11, trailer))
    except S3Error:
        return
    assert len(decoded) == 11
    if mode != STREAMING_UNSIGNED_TRAILER:
        assert decoded == b"helloworld!"


def test_chunks_cannot_be_swapped_dropped_or_repeated() -> None:
    encoded = encode(STREAMING, [b"aa", b"bb"])
    line = encoded.index(b"\r\n") + 6
    first, second, last = encoded[:line], encoded[line : 2 * line], encoded[2 * line :]
    assert read(decoder(STREAMING, first + second + last, 4)) == b"aabb"
    for changed, length in ((second + first + last, 4), (first + last, 2), (first + first + last, 4), (last, 0)):
        with pytest.raises(SignatureDoesNotMatch):
            read(decoder(STREAMING, changed, length))


SIG = b";chunk-signature=" + b"0" * 64
BROKEN = {
    "empty": (STREAMING_UNSIGNED_TRAILER, b""),
    "no size": (STREAMING_UNSIGNED_TRAILER, b"\r\nhello\r\n0\r\n\r\n"),
    "negative": (STREAMING_UNSIGNED_TRAILER, b"-5\r\nhello\r\n0\r\n\r\n"),
    "signed size": (STREAMING_UNSIGNED_TRAILER, b"+5\r\nhello\r\n0\r\n\r\n"),
    "prefix": (STREAMING_UNSIGNED_TRAILER, b"0x5\r\nhello\r\n0\r\n\r\n"),
    "underscore": (STREAMING_UNSIGNED_TRAILER, b"0_5\r\nhello\r\n0\r\n\r\n"),
    "blank": (STREAMING_UNSIGNED_TRAILER, b" 5\r\nhello\r\n0\r\n\r\n"),
    "no hexadecimal": (STREAMING_UNSIGNED_TRAILER, b"5g\r\nhello\r\n0\r\n\r\n"),
    "huge": (STREAMING_UNSIGNED_TRAILER, b"f" * 16 + b"\r\nhello\r\n0\r\n\r\n"),
    "endless size": (STREAMING_UNSIGNED_TRAILER, b"0" * 100_000 + b"5\r\nhello\r\n0\r\n\r\n"),
    "endless line": (STREAMING_UNSIGNED_TRAILER, b"5;" + b"x" * 100_000),
    "bare LF": (STREAMING_UNSIGNED_TRAILER, b"5\nhello\r\n0\r\n\r\n"),
    "no CRLF after data": (STREAMING_UNSIGNED_TRAILER, b"5\r\nhello0\r\n\r\n"),
    "chunk longer than it says": (STREAMING_UNSIGNED_TRAILER, b"5\r\nhello!\r\n0\r\n\r\n"),
    "chunk shorter than it says": (STREAMING_UNSIGNED_TRAILER, b"5\r\nhell\r\n0\r\n\r\n"),
    "longer than declared": (STREAMING_UNSIGNED_TRAILER, b"6\r\nhello!\r\n0\r\n\r\n"),
    "one chunk too many": (STREAMING_UNSIGNED_TRAILER, b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
    "shorter than declared": (STREAMING_UNSIGNED_TRAILER, b"4\r\nhell\r\n0\r\n\r\n"),
    "no last chunk": (STREAMING_UNSIGNED_TRAILER, b"5\r\nhello\r\n"),
    "no signature": (STREAMING, b"5\r\nhello\r\n0\r\n\r\n"),
    "empty signature": (STREAMING, b"5;chunk-signature=\r\nhello\r\n0\r\n\r\n"),
    "short signature": (STREAMING, b"5" + SIG[:-1] + b"\r\nhello\r\n0\r\n\r\n"),
    "long signature": (STREAMING, b"5" + SIG + b"0\r\nhello\r\n0\r\n\r\n"),
    "another extension": (STREAMING, b"5;signature=x\r\nhello\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize(("mode", "encoded"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_framing_is_an_incomplete_body(mode: str, encoded: bytes) -> None:
    with pytest.raises(IncompleteBody):
        read(decoder(mode, encoded, 5))


def test_more_after_the_last_chunk_is_refused() -> None:
    with pytest.raises(IncompleteBody):
        read(decoder(STREAMING, encode(STREAMING, [b"hello"]) + b"more", 5))


TRAILER = "x-amz-checksum-crc32"
BAD_TRAILERS = {
    "missing": (b"\r\n", MalformedTrailerError),
    "another": (b"x-amz-checksum-sha1:AAAA\r\n\r\n", MalformedTrailerError),
    "one more": (b"x-amz-checksum-crc32:NhCmhg==\r\nx-amz-meta-a:1\r\n\r\n", MalformedTrailerError),
    "twice": (b"x-amz-checksum-crc32:NhCmhg==\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", MalformedTrailerError),
    "no colon": (b"x-amz-checksum-crc32\r\n\r\n", MalformedTrailerError),
    "blank before colon": (b"x-amz-checksum-crc32 :NhCmhg==\r\n\r\n", MalformedTrailerError),
    "no name": (b":NhCmhg==\r\n\r\n", MalformedTrailerError),
    "control character": (b"x-amz-checksum-crc32:\x01\r\n\r\n", MalformedTrailerError),
    "endless": (b"x-amz-checksum-crc32:" + b"A" * 100_000 + b"\r\n\r\n", MalformedTrailerError),
    "not ended": (b"x-amz-checksum-crc32:NhCmhg==", IncompleteBody),
    "no base64": (b"x-amz-checksum-crc32:?\r\n\r\n", InvalidRequest),
    "wrong size": (b"x-amz-checksum-crc32:AAAAAAAA\r\n\r\n", InvalidRequest),
    "empty": (b"x-amz-checksum-crc32:\r\n\r\n", InvalidRequest),
}


@pytest.mark.parametrize(("trailers", "error"), BAD_TRAILERS.values(), ids=BAD_TRAILERS.keys())
def test_bad_trailers(trailers: bytes, error: type[S3Error]) -> None:
    with pytest.raises(error):
        read(decoder(STREAMING_UNSIGNED_TRAILER, b"5\r\nhello\r\n0\r\n" + trailers, 5, TRAILER))


@pytest.mark.parametrize("trailers", [b"X-Amz-Checksum-CRC32: NhCmhg== \r\n\r\n", b"x-amz-checksum-crc32:NhCmhg==\r\n"])
def test_trailers_as_http_allows_them(trailers: bytes) -> None:
    subject = decoder(STREAMING_UNSIGNED_TRAILER, b"5\r\nhello\r\n0\r\n" + trailers, 5, TRAILER)
    assert read(subject) == b"hello"
    assert subject.trailers() == {TRAILER: "NhCmhg=="}


def test_a_signed_trailer_cannot_be_changed_or_left_unsigned() -> None:
    encoded = encode(STREAMING_TRAILER, [b"hello"], {TRAILER: "NhCmhg=="})
    with pytest.raises(SignatureDoesNotMatch):
        read(decoder(STREAMING_TRAILER, encoded.replace(b"NhCmhg==", b"NhCmhw=="), 5, TRAILER))
    unsigned = encoded[: encoded.index(b"x-amz-trailer-signature")] + b"\r\n"
    with pytest.raises(IncompleteBody):
        read(decoder(STREAMING_TRAILER, unsigned, 5, TRAILER))


def test_large_chunks_go_straight_into_the_callers_buffer() -> None:
    """Of a megabyte in one chunk, all but what was read with the line before it is read into place."""
    chunk = bytes(1 << 20)
    sizes = []

    class Recorded(Source):
        def readinto(self, buffer: memoryview) -> int:
            sizes.append(super().readinto(buffer))
            return sizes[-1]

    subject = decoder(STREAMING, b"", len(chunk))
    subject._source = Recorded(encode(STREAMING, [chunk])).readinto  # type: ignore[attr-defined]
    assert read(subject) == chunk
    assert max(sizes) > len(chunk) - 8192
    assert len(sizes) <= 4


def test_the_decoded_length_is_required() -> None:
    subject = request("PUT", "/b/k", {}, Source(b""))
    with pytest.raises(MissingContentLength):
        body(subject, Authentication(IDENTITY, STREAMING, SEED, signature.Signer(KEY), SCOPE, STAMP))


@pytest.mark.parametrize("mode", [UNSIGNED, hashlib.sha256(b"hello").hexdigest()])
def test_a_plain_body_is_the_servers(mode: str) -> None:
    subject = decoder(mode, b"hello", 5)
    assert read(subject, 2) == b"hello"
    assert subject.trailers() == {}
