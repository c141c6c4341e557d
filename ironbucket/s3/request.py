"""What a request's target and headers name: bucket, key, query. Percent-decoded once, from the target as sent.

PATH_INFO is of no use for that: it is decoded already, so `a%2Fb` and `a/b` cannot be told apart, and what was
signed cannot be known. REQUEST_URI is what the client sent.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from ironbucket.errors import InvalidURI, KeyTooLongError
from ironbucket.s3.credentials import Identity

#: bytes of a key in UTF-8
MAX_KEY = 1024

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search


def decode(text: str) -> str:
    """Percent-decode a latin-1 string as UTF-8, strictly. Raises InvalidURI."""
    if "%" not in text and text.isascii():
        return text
    if _BAD_ESCAPE(text):
        raise InvalidURI("Couldn't parse the specified URI.")
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise InvalidURI("Couldn't parse the specified URI.") from None


def parse_query(raw_query: str) -> dict[str, str]:
    """The parameters of a query, decoded; `+` is a space, no `=` gives "", the first of a repeated name wins."""
    query: dict[str, str] = {}
    encoded = "%" in raw_query or not raw_query.isascii()
    for item in raw_query.replace("+", " ").split("&"):
        if item:
            name, _, value = item.partition("=")
            if encoded:
                name, value = decode(name), decode(value)
            if name not in query:
                query[name] = value
    return query


def bucket_of_host(host: str, domains: Sequence[str]) -> str:
    """The bucket that a virtual-host style host names, "" for a path-style one. The longest matching domain counts."""
    name = host.lower()
    if not name.endswith("]"):  # an IPv6 address without a port
        name = name.partition(":")[0] if name.count(":") == 1 else name
    bucket, longest = "", 0
    for domain in domains:
        if name == domain:
            return ""
        if len(domain) > longest and name.endswith("." + domain):
            bucket, longest = name[: -len(domain) - 1], len(domain)
    return bucket


class Request:
    """One S3 request."""

    __slots__ = (
        "access",
        "bucket",
        "environ",
        "headers",
        "host",
        "identity",
        "key",
        "method",
        "query",
        "raw_path",
        "raw_query",
        "request_id",
    )

    method: str
    bucket: str  # "" for the service
    key: str  # "" for the bucket
    query: dict[str, str]  # decoded; the first of a repeated name wins; no "=" gives ""
    raw_path: str  # as sent, latin-1, never decoded
    raw_query: str
    headers: dict[str, str]  # lower-case names; latin-1 values; repeated ones joined by ","
    host: str
    request_id: str
    identity: Identity | None  # set once authenticated
    environ: dict[str, Any]
    access: Any  # what decides for callers who may not do everything: ironbucket.s3.access.Access, or None

    @property
    def may_wait(self) -> bool:
        """Whether an answer may take its time: not while the server's loop itself asks for it."""
        return not self.environ.get("ironbucket.inline")

    @classmethod
    def parse(cls, environ: dict[str, Any], domains: Sequence[str] = ()) -> Request:
        """Read a WSGI environ. `domains`: base names of virtual-host style, lower case, without port.

        Raises InvalidURI for a target that is not a path or is not percent-encoded UTF-8, and KeyTooLongError.
        """
        self = cls()
        self.environ = environ
        self.method = environ["REQUEST_METHOD"]
        self.request_id = environ.get("ironbucket.request_id", "")
        self.identity = self.access = None
        self.headers = headers = _headers(environ)
        self.host = headers.get("host", "")
        target: str = environ["REQUEST_URI"]
        if not target.startswith("/"):
            target = self._absolute(target)
        raw_path, _, raw_query = target.partition("?")
        self.raw_path = raw_path
        self.raw_query = raw_query
        self.query = parse_query(raw_query) if raw_query else {}

        bucket = bucket_of_host(self.host, domains) if domains else ""
        if bucket:
            key = raw_path[1:]
        else:
            bucket, slash, key = raw_path[1:].partition("/")
            if not bucket and slash:
                raise InvalidURI("Couldn't parse the specified URI.")
            bucket = decode(bucket)
        self.bucket = bucket
        self.key = key = decode(key)
        if len(key) > MAX_KEY // 4 and len(key.encode()) > MAX_KEY:
            raise KeyTooLongError(Size=str(len(key.encode())), MaxSizeAllowed=str(MAX_KEY))
        return self

    @property
    def resource(self) -> str:
        """The decoded path, for error documents."""
        return unquote_to_bytes(self.raw_path.encode("latin-1")).decode("utf-8", "replace")

    def _absolute(self, target: str) -> str:
        """The path of an absolute-form target (RFC 9112, 3.2.2), whose authority takes the place of the Host header."""
        scheme, separator, rest = target.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise InvalidURI("Couldn't parse the specified URI.")
        end = min((position for position in (rest.find("/"), rest.find("?")) if position >= 0), default=len(rest))
        self.host = rest[:end]
        path = rest[end:]
        return path if path.startswith("/") else "/" + path


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    received: list[tuple[bytes, bytes]] | None = environ.get("ironbucket.headers")
    if received is None:
        return _wsgi_headers(environ)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in received}
    if len(headers) != len(received):
        joined: dict[str, list[str]] = {}
        for name, value in received:
            joined.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        headers = {each: ",".join(values) for each, values in joined.items()}
    return headers


def _wsgi_headers(environ: dict[str, Any]) -> dict[str, str]:
    """The headers as other WSGI servers give them."""
    headers = {name[5:].lower().replace("_", "-"): environ[name] for name in environ if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.lower().replace("_", "-")] = environ[name]
    return headers
