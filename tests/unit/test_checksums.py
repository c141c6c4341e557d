"""Checksums: known answers, and the law that combining equals computing over the whole."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket import checksums

CRCS = ("crc32", "crc32c", "crc64nvme")


def of(algorithm: str, data: bytes) -> str:
    hasher = checksums.hasher(algorithm)
    hasher.update(data)
    return checksums.encode(hasher.digest())


@pytest.mark.parametrize(
    ("algorithm", "check"),
    [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")],
)
def test_crcs_give_their_catalogue_check_value(algorithm: str, check: str) -> None:
    hasher = checksums.hasher(algorithm)
    hasher.update(b"12345")
    hasher.update(memoryview(b"6789"))
    assert hasher.digest().hex() == check


def test_the_example_of_the_streaming_page() -> None:
    assert of("crc32c", b"a" * 66560) == "sOO8/Q=="


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_hashes_are_those_of_hashlib(algorithm: str) -> None:
    hasher = checksums.hasher(algorithm)
    hasher.update(bytearray(b"abc"))
    assert hasher.digest() == hashlib.new(algorithm, b"abc").digest()


@pytest.mark.parametrize("algorithm", [*checksums.ALGORITHMS, "md5"])
def test_the_size_table_is_true(algorithm: str) -> None:
    assert len(checksums.hasher(algorithm).digest()) == checksums.SIZES[algorithm]
    assert checksums.is_valid(algorithm, of(algorithm, b""))


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="crc16"):
        checksums.hasher("crc16")


@given(algorithm=st.sampled_from(CRCS), parts=st.lists(st.binary(max_size=300), max_size=6))
def test_combining_equals_computing_over_the_whole(algorithm: str, parts: list[bytes]) -> None:
    combined = checksums.combine(algorithm, [(of(algorithm, part), len(part)) for part in parts])
    assert combined == of(algorithm, b"".join(parts))


@pytest.mark.parametrize("algorithm", CRCS)
def test_combining_large_parts(algorithm: str) -> None:
    first, second = bytes(5_000_001), b"x" * 70_000
    parts = [(of(algorithm, first), len(first)), (of(algorithm, second), len(second))]
    assert checksums.combine(algorithm, parts) == of(algorithm, first + second)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5", ""])
def test_hashes_of_parts_do_not_combine(algorithm: str) -> None:
    with pytest.raises(ValueError, match="do not make one of the whole"):
        checksums.combine(algorithm, [])


def test_a_composite_is_the_checksum_of_the_digests() -> None:
    parts = [b"one", b"two", b"three"]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    whole = checksums.encode(hashlib.sha256(digests).digest())
    assert checksums.composite("sha256", [of("sha256", part) for part in parts]) == f"{whole}-3"


@given(st.binary(max_size=40))
def test_base64_round_trips(digest: bytes) -> None:
    assert checksums.decode(checksums.encode(digest)) == digest


@pytest.mark.parametrize("text", ["AAAA=", "AAA", "AA==\n", " AA==", "AB==", "A-_=", "=", "ä===", "AAAA====", "%"])
def test_what_is_not_exactly_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        checksums.decode(text)
    assert not checksums.is_valid("crc32", text)
