"""The body of a write as the client framed it: plain, or aws-chunked with signatures and trailers.

    400;chunk-signature=<64 hexadecimal digits>\\r\\n  <1024 bytes>  \\r\\n
    0;chunk-signature=<...>\\r\\n
    x-amz-checksum-crc32:<base64>\\r\\n
    x-amz-trailer-signature:<...>\\r\\n
    \\r\\n

The unsigned form has no ";chunk-signature=" and no trailer signature; the form without trailers ends with the empty
line. Each signature covers its predecessor, the first one that of the request. A chunk that is larger than the
caller's buffer is handed out before its signature can be known to be right: a body is genuine when its end has been
read, and nothing may be committed before.

S3 refuses chunks of less than 8 KiB that are not the last; here they are accepted, since clients that stream send
them unasked, and they cost nothing but the client's own time.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping

from ironbucket import checksums
from ironbucket.errors import IncompleteBody, InvalidRequest, MalformedTrailerError, SignatureDoesNotMatch
from ironbucket.node.body import Body
from ironbucket.s3.declared import content_encoding, decoded_length, expected, trailer_names
from ironbucket.s3.request import Request
from ironbucket.s3.sigv4 import STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER, Authentication
from ironbucket.signature import EMPTY_SHA256

__all__ = ["ChunkedBody", "PlainBody", "body", "content_encoding", "expected"]

#: the longest line before a chunk, and the most bytes of trailers
MAX_LINE = 1024
MAX_TRAILERS = 16 * 1024

#: what is read at once to find the next chunk: much while chunks are small, little while they are large, since
#: bytes that are read into the caller's buffer need no second copy
_BUFFER = 64 * 1024
_GLANCE = 4 * 1024

_SIGNED_LINE = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})").fullmatch
_UNSIGNED_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})()(?:;[\x20-\x7e]*)?").fullmatch
_TRAILER_LINE = re.compile(r"([!#-'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e]*?)[ \t]*").fullmatch

_SIGNATURE_TRAILER = "x-amz-trailer-signature"


def body(request: Request, authentication: Authentication) -> Body:
    """The decoded body of a request. Raises MissingContentLength or InvalidRequest for a malformed chunked one."""
    source: Callable[[memoryview], int] = request.environ["wsgi.input"].readinto
    mode = authentication.mode
    if mode not in (STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER):
        return PlainBody(source)
    chain = None if mode == STREAMING_UNSIGNED_TRAILER else _Chain(authentication)
    trailers = None if mode == STREAMING else trailer_names(request)
    return ChunkedBody(source, decoded_length(request), chain, trailers)


class PlainBody:
    """A body without framing of its own."""

    __slots__ = ("readinto",)

    def __init__(self, source: Callable[[memoryview], int]) -> None:
        self.readinto = source

    def trailers(self) -> Mapping[str, str]:
        return {}


class _Chain:
    """The signatures of a signed body, each of which covers the one before it."""

    __slots__ = ("_authentication", "_hash", "_previous", "_scope")

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication
        self._previous = authentication.seed_signature
        self._scope = f"{authentication.timestamp}\n{authentication.scope}"
        self._hash = hashlib.sha256()

    def update(self, data: memoryview) -> None:
        self._hash.update(data)

    def end_chunk(self, signature: str) -> None:
        """Verify the chunk that ended, and begin another."""
        digest = self._hash.hexdigest()
        self._hash = hashlib.sha256()
        self._check(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._scope}\n{self._previous}\n{EMPTY_SHA256}\n{digest}",
            signature,
        )

    def end_trailers(self, text: str, signature: str) -> None:
        """Verify the trailers: `text` has a line name:value for each."""
        digest = hashlib.sha256(text.encode("latin-1")).hexdigest()
        self._check(f"AWS4-HMAC-SHA256-TRAILER\n{self._scope}\n{self._previous}\n{digest}", signature)

    def _check(self, to_sign: str, signature: str) -> None:
        expected = self._authentication.signer.sign(to_sign.encode())
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise SignatureDoesNotMatch(
                AWSAccessKeyId=self._authentication.identity.access_key,
                StringToSign=to_sign,
                SignatureProvided=signature,
            )
        self._previous = expected


class ChunkedBody:
    """Decodes aws-chunked, verifies its signatures, and holds the client to the length it declared."""

    __slots__ = (
        "_announced",
        "_buffer",
        "_chain",
        "_chunk",
        "_done",
        "_end",
        "_first",
        "_left",
        "_received",
        "_signature",
        "_source",
        "_start",
        "_window",
    )

    def __init__(
        self,
        source: Callable[[memoryview], int],
        length: int,
        chain: _Chain | None,
        trailers: frozenset[str] | None,
    ) -> None:
        """`length`: decoded bytes. `trailers`: the names that were announced; None if the mode has no trailers."""
        self._source = source
        self._left = length  # decoded bytes still to come
        self._chain = chain
        self._announced = trailers
        self._received: dict[str, str] = {}
        self._buffer = memoryview(bytearray(_BUFFER))  # encoded bytes [start:end] that are read, but not consumed
        self._start = self._end = 0
        self._window = _GLANCE
        self._chunk = 0  # bytes of the current chunk still to come
        self._signature = ""
        self._first = True
        self._done = False

    def trailers(self) -> Mapping[str, str]:
        return self._received

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the body goes.

        Raises SignatureDoesNotMatch; IncompleteBody for framing that is broken, ends early, or holds more or fewer
        bytes than declared; MalformedTrailerError; InvalidRequest for a trailing checksum that cannot be one.
        """
        filled, size = 0, len(buffer)
        while filled < size:
            if self._chunk:
                filled += self._data(buffer[filled : filled + self._chunk])
            elif self._done:
                break
            else:
                self._next_chunk()
        if not self._left and not self._chunk and not self._done:
            self._next_chunk()  # so that a caller who stops at the declared length has seen the end verified
        return filled

    def _data(self, target: memoryview) -> int:
        """Bytes of the current chunk, from what is buffered or straight into the caller's buffer."""
        buffered = self._end - self._start
        if buffered:
            count = min(buffered, len(target))
            target[:count] = self._buffer[self._start : self._start + count]
            self._start += count
        else:
            count = self._source(target)
            if count == 0:
                raise _broken("it ends within a chunk")
        self._chunk -= count
        self._left -= count
        if self._chain:
            self._chain.update(target[:count])
            if not self._chunk:
                self._chain.end_chunk(self._signature)
        return count

    def _next_chunk(self) -> None:
        """Read the line that begins a chunk; after the last chunk, all the rest."""
        if not self._first and self._line():
            raise _broken("a chunk is longer than it says")
        self._first = False
        match = (_SIGNED_LINE if self._chain else _UNSIGNED_LINE)(self._line())
        if match is None:
            raise _broken("a chunk does not begin with its size and signature")
        size = int(match[1], 16)
        self._signature = match[2].decode()
        self._chunk = size
        self._window = _GLANCE if size >= _BUFFER else _BUFFER
        if size > self._left:
            raise _broken("it is longer than x-amz-decoded-content-length")
        if size == 0:
            if self._left:
                raise _broken("it is shorter than x-amz-decoded-content-length")
            if self._chain:
                self._chain.end_chunk(self._signature)
            self._finish()
            self._done = True

    def _line(self) -> bytes:
        """The next line without its CRLF."""
        while True:
            head = bytes(self._buffer[self._start : min(self._end, self._start + MAX_LINE)])
            line, newline, _ = head.partition(b"\n")
            if newline:
                self._start += len(line) + 1
                if not line.endswith(b"\r"):
                    raise _broken("a line does not end in CR LF")
                return line[:-1]
            if len(head) >= MAX_LINE:
                raise _broken("a line is too long")
            if not self._fill():
                raise _broken("it ends before its last chunk")

    def _fill(self) -> int:
        """Read more encoded bytes behind those that are left; 0 at the end of the request."""
        left = self._end - self._start
        if left and self._start:
            self._buffer[:left] = bytes(self._buffer[self._start : self._end])
        self._start, self._end = 0, left
        count = self._source(self._buffer[left : self._window])
        self._end += count
        return count

    def _finish(self) -> None:
        """All after the last chunk: the trailers, and the end of the request."""
        rest = bytearray()
        while True:
            rest += self._buffer[self._start : self._end]
            self._start = self._end = 0
            if len(rest) > MAX_TRAILERS:
                raise MalformedTrailerError
            if not self._fill():
                break
        if self._announced is None:
            if bytes(rest) not in (b"\r\n", b""):
                raise _broken("it goes on after its last chunk")
            return
        received = _parse_trailers(bytes(rest))
        signature = received.pop(_SIGNATURE_TRAILER, "")
        if received.keys() != self._announced:
            raise MalformedTrailerError
        if self._chain:
            if not signature:
                raise _broken("its trailers are not signed")
            self._chain.end_trailers("".join([f"{name}:{value}\n" for name, value in received.items()]), signature)
        for name, value in received.items():
            if not checksums.is_valid(name.removeprefix("x-amz-checksum-"), value):
                raise InvalidRequest(f"Value for {name} trailing header is invalid.")
        self._received = received


def _parse_trailers(text: bytes) -> dict[str, str]:
    """Trailer lines by lower-case name. Empty lines do not count: S3's own examples have one before the signature."""
    if text and not text.endswith(b"\r\n"):
        raise _broken("it ends within its trailers")
    trailers: dict[str, str] = {}
    for line in text.decode("latin-1").split("\n"):
        if line in ("", "\r"):
            continue
        match = _TRAILER_LINE(line.removesuffix("\r"))
        if match is None or match[1].lower() in trailers:
            raise MalformedTrailerError
        trailers[match[1].lower()] = match[2]
    return trailers


def _broken(reason: str) -> IncompleteBody:
    return IncompleteBody(f"The request body is not a complete aws-chunked stream: {reason}.")
