"""What the tests of this folder share: environs as the server makes them, credentials, bodies that arrive in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from ironbucket.s3.credentials import Credentials
from ironbucket.s3.request import Request

#: the example credentials of S3's documentation
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#: 20130524T000000Z, the time of S3's examples
NOW = 1369353600

CREDENTIALS = Credentials.from_settings(SimpleNamespace(access_key=ACCESS_KEY, secret_key=SECRET))


def environ(
    method: str, target: str, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), body: Any = None
) -> dict[str, Any]:
    items = headers.items() if isinstance(headers, Mapping) else headers
    return {
        "REQUEST_METHOD": method,
        "REQUEST_URI": target,
        "ironbucket.headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in items],
        "ironbucket.request_id": "0123456789ABCDEF",
        "wsgi.input": body,
    }


def request(
    method: str, target: str, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), body: Any = None
) -> Request:
    return Request.parse(environ(method, target, headers, body))


class Source:
    """A body that arrives in pieces of at most `step` bytes, as from a slow peer."""

    def __init__(self, data: bytes, step: int = 1 << 30) -> None:
        self.data, self.step, self.position = data, step, 0

    def readinto(self, buffer: memoryview) -> int:
        piece = self.data[self.position : self.position + min(self.step, len(buffer))]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)
