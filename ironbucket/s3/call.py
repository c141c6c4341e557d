"""What an operation is given: the node, the verified request, and readers of its parameters and documents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ironbucket import checksums
from ironbucket.errors import (
    BadDigest,
    IncompleteBody,
    InvalidArgument,
    MalformedXML,
    MaxMessageLengthExceeded,
    XAmzContentSHA256Mismatch,
)
from ironbucket.node.body import Body, Expected
from ironbucket.s3 import chunked
from ironbucket.s3.credentials import Credentials
from ironbucket.s3.request import Request
from ironbucket.s3.sigv4 import Authentication
from ironbucket.s3.xml import Element, parse

if TYPE_CHECKING:
    from ironbucket.node import Node

#: bytes of a request's XML document: a configuration; a list of 1,000 keys or 10,000 parts
SMALL_DOCUMENT = 64 << 10
LARGE_DOCUMENT = 4 << 20

#: parts of one upload
MAX_PARTS = 10_000

_MAX_INT = 2**31 - 1


@dataclass(slots=True)
class Call:
    """One authenticated request on its way through an operation."""

    node: Node
    credentials: Credentials
    request: Request
    authentication: Authentication

    @property
    def bucket(self) -> str:
        return self.request.bucket

    @property
    def key(self) -> str:
        return self.request.key

    @property
    def owner_id(self) -> str:
        return self.authentication.identity.owner_id

    def header(self, name: str) -> str:
        """A header's value; "" when it is missing. `name` in lower case."""
        return self.request.headers.get(name, "")

    def body(self) -> Body:
        """The decoded body, to be read once."""
        return chunked.body(self.request, self.authentication)

    def expected(self) -> Expected:
        """What the client declared about the body."""
        return chunked.expected(self.request, self.authentication)

    def integer(self, name: str, default: int, low: int = 0, high: int = _MAX_INT) -> int:
        """A numeric query parameter; `default` when it is missing or empty. Raises InvalidArgument."""
        text = self.request.query.get(name, "")
        if not text:
            return default
        return parse_integer(name, text, low, high)

    def document(self, root: str, limit: int = SMALL_DOCUMENT, *, own_checksums: bool = True) -> Element:
        """The request's XML document. Raises MalformedXML, MaxMessageLengthExceeded and the digests' errors.

        `own_checksums`: whether x-amz-checksum-* headers are of the document, not of an object.
        """
        data = self.read(limit, own_checksums=own_checksums)
        if not data:
            raise MalformedXML
        return parse(data, root, limit=limit)

    def read(self, limit: int, *, own_checksums: bool = True) -> bytes:
        """The whole verified body, of at most `limit` bytes."""
        declared = self.header("x-amz-decoded-content-length") or self.header("content-length")
        if declared.isdecimal() and int(declared) > limit:
            raise MaxMessageLengthExceeded(MaxMessageLengthBytes=str(limit))
        body = self.body()
        pieces: list[bytes] = []
        size = 0
        buffer = memoryview(bytearray(min(limit + 1, 64 << 10)))
        while count := body.readinto(buffer):
            size += count
            if size > limit:
                raise MaxMessageLengthExceeded(MaxMessageLengthBytes=str(limit))
            pieces.append(bytes(buffer[:count]))
        data = b"".join(pieces)
        if data or "content-length" in self.request.headers:
            expected = self.expected()
            verify(data, expected if own_checksums else replace(expected, checksums={}), body)
        return data


def parse_integer(name: str, text: str, low: int = 0, high: int = _MAX_INT) -> int:
    """A decimal number between `low` and `high`. Raises InvalidArgument."""
    if text.isascii() and text.isdecimal() and len(text) < 11 and low <= int(text) <= high:
        return int(text)
    raise InvalidArgument(
        f"Argument {name} must be an integer between {low} and {high}", ArgumentName=name, ArgumentValue=text
    )


def part_number(text: str) -> int:
    """A partNumber parameter. Raises InvalidArgument."""
    try:
        return parse_integer("partNumber", text, 1, MAX_PARTS)
    except InvalidArgument as error:
        error.message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise


def verify(data: bytes, expected: Expected, body: Body) -> None:
    """Compare a whole document with what the client declared about it, as the node does for payloads."""
    if expected.length is not None and expected.length != len(data):
        raise IncompleteBody
    if expected.md5 is not None and expected.md5 != _digest("md5", data):
        raise BadDigest("The Content-MD5 you specified did not match what we received.")
    if expected.sha256 is not None and expected.sha256 != _digest("sha256", data).hex():
        raise XAmzContentSHA256Mismatch
    declared = dict(expected.checksums)
    if expected.trailer_checksum is not None:
        declared[expected.trailer_checksum] = body.trailers().get(f"x-amz-checksum-{expected.trailer_checksum}", "")
    for algorithm, value in declared.items():
        if checksums.encode(_digest(algorithm, data)) != value:
            raise BadDigest(f"The {algorithm.upper()} you specified did not match the calculated checksum.")


def _digest(algorithm: str, data: bytes) -> bytes:
    hasher = checksums.hasher(algorithm)
    hasher.update(data)
    return hasher.digest()
