"""What a client hands over with a write, as values: the body, what it must amount to, what is kept beside it.

The S3 layer makes these from a request; the node consumes them and knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Body(Protocol):
    """The bytes of an object as they arrive, decoded: a chunked client's framing and signatures are dealt with."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill the front of `buffer`; return the number of bytes, 0 at the end.

        Raises IncompleteBody, RequestTimeout, SignatureDoesNotMatch and other S3 errors of a damaged stream. A
        stream is genuine only when 0 has been returned: bytes handed out before may belong to a bad chunk.
        """
        ...

    def trailers(self) -> Mapping[str, str]:
        """Headers that came after the last byte, lower-case names; empty before the end, and when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What the client declared about the body; compared after its last byte and before the commit."""

    length: int | None = None  # decoded bytes; a mismatch is IncompleteBody
    md5: bytes | None = None  # Content-MD5, 16 bytes; a mismatch is BadDigest
    sha256: str | None = None  # hexadecimal, of a signed payload; a mismatch is XAmzContentSHA256Mismatch
    checksums: Mapping[str, str] = field(default_factory=dict)  # algorithm -> base64; a mismatch is BadDigest
    trailer_checksum: str | None = None  # the algorithm whose value arrives in the trailer x-amz-checksum-<algorithm>


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a write stores beside the payload."""

    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # cache-control, expires, ...: lower-case names
    metadata: Mapping[str, str] = field(default_factory=dict)  # names without x-amz-meta-, lower case
    storage_class: str | None = None
    tags: Mapping[str, str] | None = None
    owner: str = ""  # the owner's id, 64 hexadecimal digits
    extra: Mapping[str, Any] = field(default_factory=dict)  # further attributes by name: acl, lock, ...


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold at the moment of the commit, decided under the log's lock.

    A missing key with `if_match` is NoSuchKey; anything else that does not hold is PreconditionFailed.
    """

    if_match: str | None = None  # an ETag without quotes, or "*"
    if_none_match: str | None = None  # "*", or an ETag without quotes
    if_match_size: int | None = None  # bytes; deletes only
    if_match_last_modified: int | None = None  # Unix time in milliseconds; deletes only
