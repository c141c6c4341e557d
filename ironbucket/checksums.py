"""The checksums that S3 knows: making them, writing them as text, and joining those of parts.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol

#: the algorithms of x-amz-checksum-*, by the name that the header ends in
ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")

#: digest sizes in bytes
SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32, "md5": 16}

#: bit-reversed generator polynomials: CRC-32 (ISO-HDLC), CRC-32C (Castagnoli), CRC-64/NVME
_POLYNOMIALS = {"crc32": 0xEDB88320, "crc32c": 0x82F63B78, "crc64nvme": 0x9A6C9329AC4BC9B5}

Buffer = bytes | bytearray | memoryview


class Hasher(Protocol):
    """Takes bytes in pieces; `digest` may be asked at any time. CRCs digest as big-endian bytes."""

    def update(self, data: Buffer, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A running CRC: `function(data, crc so far)` is zlib's or awscrt's."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[Buffer, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def hasher(algorithm: str) -> Hasher:
    """A fresh hasher for one of ALGORITHMS or "md5"; ValueError for any other name."""
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm in ("md5", "sha1"):  # chosen by the client to detect damage, not to keep anyone out
        return hashlib.new(algorithm, usedforsecurity=False)
    if algorithm == "crc32":
        return _Crc(zlib.crc32, 4)
    if algorithm in _POLYNOMIALS:
        from awscrt import checksums  # tens of milliseconds, which the one-shot commands need not pay

        return _Crc(getattr(checksums, algorithm), SIZES[algorithm])
    raise ValueError(f"{algorithm!r} is not a checksum algorithm")


def encode(digest: bytes) -> str:
    """A digest as base64."""
    return base64.b64encode(digest).decode("ascii")


def decode(text: str) -> bytes:
    """Base64 with its padding and nothing else; ValueError for anything that `encode` would not have written."""
    digest = base64.b64decode(text, validate=True)
    if encode(digest) != text:  # bits beyond the last byte
        raise ValueError(f"{text!r} is not base64")
    return digest


def is_valid(algorithm: str, text: str) -> bool:
    """Whether `text` is a base64 digest of the algorithm's size."""
    try:
        return len(decode(text)) == SIZES[algorithm]
    except ValueError:
        return False


def _times(a: int, b: int, polynomial: int, top: int) -> int:
    """The product of two polynomials over GF(2) modulo the generator, bits reversed (`top` is the coefficient of 1)."""
    product = 0
    while True:
        if a & top:
            product ^= b
        a = (a & (top - 1)) << 1
        if not a:
            return product
        b = b >> 1 ^ polynomial if b & 1 else b >> 1


@lru_cache(maxsize=256)
def _shift(algorithm: str, size: int) -> int:
    """x to the power of 8 * size, modulo the generator: what `size` further bytes do to a CRC. O(log size)."""
    polynomial, top = _POLYNOMIALS[algorithm], 1 << SIZES[algorithm] * 8 - 1
    result, square = top, top >> 8  # 1 and x**8
    while size:
        if size & 1:
            result = _times(result, square, polynomial, top)
        square = _times(square, square, polynomial, top)
        size >>= 1
    return result


def combine(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """The CRC of a whole from (base64 value, size in bytes) of its parts, in order, without the bytes.

    With the pre- and post-inversion that all three CRCs have, crc(a + b) = crc(a) * x**(8 * len(b)) + crc(b).
    ValueError for an algorithm that is not a CRC, and for a malformed value.
    """
    if algorithm not in _POLYNOMIALS:
        raise ValueError(f"{algorithm!r} checksums of parts do not make one of the whole")
    polynomial, top = _POLYNOMIALS[algorithm], 1 << SIZES[algorithm] * 8 - 1
    whole = 0
    for value, size in parts:
        whole = _times(whole, _shift(algorithm, size), polynomial, top) ^ int.from_bytes(decode(value), "big")
    return encode(whole.to_bytes(SIZES[algorithm], "big"))


def composite(algorithm: str, values: Iterable[str]) -> str:
    """The checksum of the parts' checksums (base64), in order, followed by "-" and the number of parts."""
    whole, count = hasher(algorithm), 0
    for value in values:
        whole.update(decode(value))
        count += 1
    return f"{encode(whole.digest())}-{count}"
