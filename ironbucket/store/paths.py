"""Key <-> file name: every key gets a name that a person can read and this module can decode.

    STORAGE_PATH/photos/7f/2024%2Fsummer.jpg~01JD3V2Q9Z8K7M5N4P3R2S1T0V
                 bucket | key              | version
                        256 shards by CRC-32 of the key

``/``, ``%``, ``~``, control characters, a leading dot and lone surrogates are written as %XX, all else stays as it is.
A key whose name would exceed what file systems allow is cut and carries a hash; the whole key is then kept in
``.keys/`` of its bucket.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
import zlib

#: what ext4 and XFS allow for one name, in bytes
NAME_MAX = 255
VERSION_LENGTH = 26
_LONGEST = NAME_MAX - 1 - VERSION_LENGTH
_PLAIN_PART = _LONGEST - 2 - 32

SYSTEM = ".ironbucket"  # no bucket can have this name
STAGING = ".staging"
UPLOADS = ".uploads"
LONG_KEYS = ".keys"

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]
_ENCODE = re.compile("^\\.|[%/~\x00-\x1f\x7f\ud800-\udfff]")
_DECODE = re.compile(r"(?:%[0-9A-F]{2})+")
_LONG = re.compile(r"(.*)~~([0-9a-f]{32})", re.DOTALL)
_VERSION = re.compile(f"[{_CROCKFORD}]{{{VERSION_LENGTH}}}")


def new_version() -> str:
    """A version id: a ULID, 48 bits of milliseconds and 80 random bits, so that names sort by age."""
    value = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def made_ms(version: str) -> int:
    """When a version id was made, in milliseconds since 1970 (UTC)."""
    value = 0
    for character in version[:10]:
        value = value * 32 + _CROCKFORD.index(character)
    return value


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


def encode_key(key: str) -> str:
    """The readable form of a key; `decode_key` is its inverse for every key."""
    return _ENCODE.sub(_escape, key)


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def decode_key(name: str) -> str:
    return _DECODE.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass"), name)


def payload_name(key: str, version: str) -> str:
    """The file name of one version of `key`: at most 255 bytes."""
    name = encode_key(key)
    if _too_long(name):
        name = _cut(name) + "~~" + key_hash(key)
    return f"{name}~{version}"


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _cut(name: str) -> str:
    return name.encode()[:_PLAIN_PART].decode("utf-8", "ignore")


def is_long(key: str) -> bool:
    """Whether the file name cannot hold the whole key."""
    return _too_long(encode_key(key))


def _too_long(name: str) -> bool:
    return len(name) * 4 > _LONGEST and len(name.encode()) > _LONGEST


def parse_name(name: str) -> tuple[str | None, str, str | None]:
    """(key, version, None) of a payload's file name; (None, version, key hash) where the key is in ``.keys/``.

    Raises ValueError for a name that `payload_name` does not make.
    """
    encoded, tilde, version = name.rpartition("~")
    if not tilde or not is_version(version):
        raise ValueError(f"not the name of a payload: {name!r}")
    long = _LONG.fullmatch(encoded)
    if long:
        return None, version, long[2]
    return decode_key(encoded), version, None


def shard(key: str) -> str:
    """The directory of a key within its bucket: two hexadecimal digits."""
    return f"{zlib.crc32(key.encode('utf-8', 'surrogatepass')) & 0xFF:02x}"


class Layout:
    """Where everything lies under one STORAGE_PATH."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.system = os.path.join(root, SYSTEM)
        self.index = os.path.join(self.system, "index.db")

    def bucket(self, bucket: str) -> str:
        return f"{self.root}/{bucket}"

    def staging(self, bucket: str) -> str:
        return f"{self.root}/{bucket}/{STAGING}"

    def uploads(self, bucket: str) -> str:
        return f"{self.root}/{bucket}/{UPLOADS}"

    def staged(self, bucket: str, key: str, version: str) -> str:
        return f"{self.root}/{bucket}/{STAGING}/{payload_name(key, version)}"

    def payload(self, bucket: str, key: str, version: str) -> str:
        return f"{self.root}/{bucket}/{shard(key)}/{payload_name(key, version)}"

    def long_key(self, bucket: str, digest: str) -> str:
        return f"{self.root}/{bucket}/{LONG_KEYS}/{digest}"
