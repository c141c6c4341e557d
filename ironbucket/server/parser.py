"""HTTP/1.1 heads and chunked bodies, read by httptools (llhttp), which is strict about what makes smuggling possible.

llhttp refuses: both Content-Length and Transfer-Encoding, repeated or malformed Content-Length, a Transfer-Encoding
whose last coding is not chunked, bare CR or LF, folded headers, white space before a colon, control characters,
malformed chunk sizes. RFC 9112 sections 2.2, 5, 6, 7.1 and 11.2.
"""

from __future__ import annotations

from typing import Any

import httptools

from ironbucket import errors
from ironbucket.server.answers import Refusal, bad_request
from ironbucket.server.limits import Limits

END = b"\r\n\r\n"
METHODS = {name.encode(): name for name in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS")}


class _HeadEvents:
    """What llhttp calls. Apart from its parser, so that the two are no reference cycle."""

    __slots__ = ("complete", "headers", "max_headers", "target")

    def __init__(self, max_headers: int) -> None:
        self.max_headers = max_headers
        self.reset()

    def reset(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self.headers
        headers.append((name, value))
        if len(headers) > self.max_headers:
            raise Refusal(431, errors.RequestHeaderSectionTooLarge())

    def on_headers_complete(self) -> None:
        self.complete = True


class HeadParser:
    """Reads one head after another. Never given a byte after a head's end: `whole` and `feed` say where that is."""

    __slots__ = ("_limits", "_parser", "_size", "_tail", "events")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.events = _HeadEvents(limits.max_headers)
        self.renew()

    def renew(self) -> None:
        """Be ready for a new connection."""
        self.events.reset()
        self._parser = httptools.HttpRequestParser(self.events)
        self._size = 0
        self._tail = b""

    def whole(self, head: bytes) -> None:
        """Read a head that ends where `head` ends. Raises Refusal."""
        execute(self._parser, head)
        if not self.events.complete:
            raise bad_request("The request has no request line.")
        if len(head) > self._limits.max_head or len(self.events.target) > self._limits.max_target:
            self._too_large()

    def feed(self, data: bytes) -> bytes | None:
        """Read a part of a head. Returns what follows the head when that is now complete, else None. Raises Refusal."""
        tail = self._tail
        joint = tail + data
        end = joint.find(END)
        cut = len(data) if end < 0 else end + 4 - len(tail)
        self._size += cut
        execute(self._parser, data[:cut])
        if self._size > self._limits.max_head or len(self.events.target) > self._limits.max_target:
            self._too_large()
        if end < 0:
            self._tail = joint[-3:]
            return None
        if not self.events.complete:
            raise bad_request("The request has no request line.")
        return data[cut:]

    def _too_large(self) -> None:
        if len(self.events.target) > self._limits.max_target:
            raise Refusal(414, errors.InvalidURI("The request target is too long."))
        raise Refusal(431, errors.RequestHeaderSectionTooLarge())

    def method(self) -> str:
        """Of a complete head."""
        try:
            return METHODS[self._parser.get_method()]
        except KeyError:
            raise Refusal(405, errors.MethodNotAllowed()) from None

    def version(self) -> str:
        """Of a complete head: 1.1 or 1.0."""
        version: str = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise bad_request("This HTTP version is not supported.")
        return version

    def next(self, *, reusable: bool) -> None:
        """Be ready for the next head. `reusable`: the last one had no body and keeps the connection alive."""
        if reusable:
            self.events.reset()
        else:
            self.renew()


_CHUNKED = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class _ChunkEvents:
    __slots__ = ("body", "chunks", "complete", "max_headers", "trailers")

    def __init__(self, max_headers: int) -> None:
        self.max_headers = max_headers
        self.chunks: list[bytes] = []
        self.body = 0
        self.trailers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.trailers.append((name.lower(), value.rstrip()))
        if len(self.trailers) > self.max_headers:
            raise Refusal(431, errors.RequestHeaderSectionTooLarge())

    def on_body(self, part: bytes) -> None:
        self.chunks.append(part)
        self.body += len(part)

    def on_message_complete(self) -> None:
        self.complete = True


class ChunkedDecoder:
    """Decodes a chunked body.

    llhttp does not say where in the data a body ended. A body ends with CR LF CR LF, so data is cut after each of
    these, and no byte of a following request is eaten.
    """

    __slots__ = ("_events", "_fed", "_limits", "_parser", "_tail")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fed = 0
        self._tail = b""
        self._events = _ChunkEvents(limits.max_headers)
        self._parser = httptools.HttpRequestParser(self._events)
        self._parser.feed_data(_CHUNKED)
        self._events.trailers.clear()

    @property
    def complete(self) -> bool:
        return self._events.complete

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """Lower-case names and values; whole once `complete`."""
        return self._events.trailers

    def take(self) -> list[bytes]:
        """What has been decoded since the last call."""
        chunks = self._events.chunks
        self._events.chunks = []
        return chunks

    def feed(self, data: bytes) -> bytes:
        """Decode more. Returns what follows the body, which is empty unless `complete`. Raises Refusal."""
        start = 0
        while start < len(data) and not self._events.complete:
            tail = self._tail
            straddle = (tail + data[start : start + 3]).find(END)
            if straddle >= 0:
                cut = start + straddle + 4 - len(tail)
            else:
                end = data.find(END, start)
                cut = len(data) if end < 0 else end + 4
            piece = data[start:cut]
            execute(self._parser, piece)
            self._tail = (tail + piece)[-3:]
            start = cut
        self._fed += start
        # sizes, extensions and trailers may not outweigh the content by much: a chunk of one byte costs five more
        if self._fed - self._events.body > self._limits.max_head + 8 * self._events.body:
            raise bad_request("The chunked body holds too little content.")
        return data[start:]


def execute(parser: Any, data: bytes) -> None:
    """Let llhttp read `data`. Raises Refusal."""
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # a server may ignore the offer of another protocol (curl --http2), RFC 9110 7.8
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, Refusal):
            raise error.__context__ from None
        raise
    except httptools.HttpParserError as error:
        raise bad_request(f"The request is not valid HTTP: {error}.") from None
