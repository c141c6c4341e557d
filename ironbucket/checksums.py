"""The checksums that S3 knows: making them, writing them as text, and joining those of parts.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")


class Hasher(Protocol):
    """Takes bytes in pieces; `digest` may be asked at any time. CRCs digest as big-endian bytes."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


def hasher(algorithm: str) -> Hasher:
    """A fresh hasher for one of ALGORITHMS or "md5"."""
    raise NotImplementedError


def encode(digest: bytes) -> str:
    """A digest as base64."""
    raise NotImplementedError


def decode(text: str) -> bytes:
    """Strict base64; ValueError for anything else."""
    raise NotImplementedError


def combine(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """The CRC of a whole from (base64 value, size in bytes) of its parts, in order."""
    raise NotImplementedError


def composite(algorithm: str, values: Iterable[str]) -> str:
    """The checksum of the parts' checksums, with "-" and the number of parts."""
    raise NotImplementedError
