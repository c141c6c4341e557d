"""The head of an answer, and the answers that the server gives by itself, without the application.

Status codes of S3 errors: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from random import getrandbits
from xml.sax.saxutils import escape

from ironbucket import errors

CONTENT_LENGTH, DATE, SERVER, REQUEST_ID, CONNECTION, TRANSFER_ENCODING, OTHER = 1, 2, 4, 8, 16, 32, 0

_KINDS = {
    "content-length": CONTENT_LENGTH,
    "date": DATE,
    "server": SERVER,
    "x-amz-request-id": REQUEST_ID,
    "connection": CONNECTION,
    "transfer-encoding": TRANSFER_ENCODING,
}
_spellings: dict[str, int] = {}
_SPELLINGS_MAX = 1024

REASONS = {
    400: "Bad Request",
    405: "Method Not Allowed",
    408: "Request Timeout",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Refusal(Exception):
    """A request that the server answers itself, and after which it closes the connection."""

    def __init__(self, status: int, error: errors.S3Error) -> None:
        super().__init__(f"{status} {error.code}: {error.message}")
        self.status = status
        self.error = error


def bad_request(message: str) -> Refusal:
    return Refusal(400, errors.InvalidRequest(message))


def new_request_id() -> str:
    """16 upper-case hexadecimal digits. The generator is seeded anew in each forked process."""
    return f"{getrandbits(64):016X}"


def document(error: errors.S3Error, resource: str, request_id: str) -> bytes:
    """S3's error document."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        f"<Resource>{escape(resource)}</Resource><RequestId>{request_id}</RequestId></Error>"
    ).encode()


def refusal(status: int, error: errors.S3Error, request_id: str, *, resource: str = "", close: bool = True) -> bytes:
    """A whole answer, head and error document."""
    body = document(error, resource, request_id)
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    if status == 503:
        headers.append(("Retry-After", "1"))
    head = Head(headers)
    return head.encode(f"{status} {REASONS[status]}", request_id, "close" if close else "") + body


_stamp: tuple[int, str] = (0, "")


def standing_lines() -> str:
    """The Date and Server lines. The text is made once a second."""
    global _stamp
    second = int(time.time())
    stamp = _stamp
    if stamp[0] != second:
        stamp = _stamp = (second, f"Date: {formatdate(second, usegmt=True)}\r\nServer: IronBucket\r\n")
    return stamp[1]


class Head:
    """An application's response headers, looked through once."""

    __slots__ = ("close", "length", "lines", "seen")

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        """ValueError if a header holds a line break, or a Content-Length that is no number."""
        seen = 0
        length: int | None = None
        self.close = False
        text = ""
        count = 0
        for name, value in headers:
            try:
                kind = _spellings[name]
            except KeyError:
                kind = _learn(name)
            if kind:
                if kind == CONTENT_LENGTH:
                    length = int(value)
                elif kind >= CONNECTION:  # those of one connection are the server's to give
                    self.close = self.close or (kind == CONNECTION and value.lower() == "close")
                    continue
                seen |= kind
            text += f"{name}: {value}\r\n"
            count += 1
        if text.count("\n") != count or text.count("\r") != count:
            raise ValueError("a response header holds a line break")
        self.seen = seen
        self.length = length
        self.lines = text

    def encode(self, status: str, request_id: str, connection: str = "", *, extra: str = "") -> bytes:
        """The bytes of the head. `connection`: the value of that header, empty for none; `extra`: whole lines."""
        seen = self.seen
        if not seen & REQUEST_ID:
            extra = f"x-amz-request-id: {request_id}\r\n{extra}"
        if connection:
            extra = f"Connection: {connection}\r\n{extra}"
        standing = standing_lines()
        if seen & (DATE | SERVER):
            standing = "".join(_unseen(standing, seen))
        return f"HTTP/1.1 {status}\r\n{self.lines}{standing}{extra}\r\n".encode("latin-1")


def _unseen(standing: str, seen: int) -> list[str]:
    return [line for line in standing.splitlines(keepends=True) if not seen & _KINDS[line.partition(":")[0].lower()]]


#: a header's name (RFC 9110 5.6.2)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _learn(name: str) -> int:
    kind = _KINDS.get(name.lower(), OTHER)
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"not a header name: {name!r}")
    if len(_spellings) < _SPELLINGS_MAX:
        _spellings[name] = kind
    return kind
