"""Signature Version 4 for the tests: written from the specification, independent of the server's own code.

Sources: "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference: header, query, and chunked
(sigv4-streaming, sigv4-streaming-trailers).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, unquote

_SPACES = re.compile(" +")

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def encode(text: str | bytes, safe: str = "") -> str:
    """URI-encode as Signature V4 wants it: all but A-Z a-z 0-9 - . _ ~ becomes %XX in upper case."""
    return quote(text, safe=safe + "-._~")


def path_of(bucket: str = "", key: str | bytes = "") -> str:
    """The raw request path of a bucket and key, path style."""
    if not bucket:
        return "/"
    return f"/{bucket}/{encode(key, safe='/')}" if key else f"/{bucket}"


def query_of(parameters: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """A raw query string; an empty value is sent as `name=`."""
    items = parameters.items() if isinstance(parameters, Mapping) else parameters
    return "&".join(f"{encode(k)}={encode(v)}" for k, v in items)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Signer:
    """Signs requests with one key pair. `clock_offset` seconds are added to the clock (to test skew)."""

    def __init__(
        self, access_key: str, secret_key: str, region: str = "us-east-1", service: str = "s3", clock_offset: float = 0
    ) -> None:
        self.access_key, self.secret_key = access_key, secret_key
        self.region, self.service, self.clock_offset = region, service, clock_offset

    def timestamp(self) -> str:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + self.clock_offset))

    def scope(self, timestamp: str) -> str:
        return f"{timestamp[:8]}/{self.region}/{self.service}/aws4_request"

    def signing_key(self, timestamp: str) -> bytes:
        key = _hmac(b"AWS4" + self.secret_key.encode(), timestamp[:8])
        return _hmac(_hmac(_hmac(key, self.region), self.service), "aws4_request")

    def signature(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        signed: Sequence[str],
        digest: str,
        at: str,
    ) -> str:
        """The signature over a canonical request; `path` and `query` are raw, `signed` lower-case names in order."""
        pairs = sorted(
            (encode(unquote(k)), encode(unquote(v))) for k, _, v in (p.partition("=") for p in query.split("&") if p)
        )
        canonical = "\n".join(
            [
                method,
                encode(unquote(path, errors="surrogateescape").encode("utf-8", "surrogateescape"), safe="/"),
                "&".join(f"{k}={v}" for k, v in pairs),
                *(f"{name}:{_SPACES.sub(' ', headers[name].strip(' '))}" for name in signed),
                "",
                ";".join(signed),
                digest,
            ]
        )
        text = "\n".join(
            ["AWS4-HMAC-SHA256", at, self.scope(at), _sha256(canonical.encode("utf-8", "surrogateescape"))]
        )
        return _hmac(self.signing_key(at), text).hex()

    def header(
        self,
        method: str,
        host: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        digest: str = UNSIGNED,
        timestamp: str | None = None,
    ) -> dict[str, str]:
        """`headers` and what authenticates them: Host, X-Amz-Date, X-Amz-Content-Sha256, Authorization."""
        at = timestamp or self.timestamp()
        full = {**(headers or {}), "Host": host, "X-Amz-Date": at, "X-Amz-Content-Sha256": digest}
        lower = {k.lower(): v for k, v in full.items()}
        signed = sorted(n for n in lower if n in ("host", "content-type", "content-md5") or n.startswith("x-amz-"))
        signature = self.signature(method, path, query, lower, signed, digest, at)
        full["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope(at)}, "
            f"SignedHeaders={';'.join(signed)}, Signature={signature}"
        )
        return full

    def presign(
        self,
        method: str,
        host: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        expires: int | str = 300,
        timestamp: str | None = None,
    ) -> str:
        """The raw query string that authenticates the request."""
        at = timestamp or self.timestamp()
        lower = {"host": host, **{k.lower(): v for k, v in (headers or {}).items()}}
        signed = sorted(lower)
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{self.scope(at)}",
            "X-Amz-Date": at,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(signed),
        }
        raw = "&".join(p for p in (query, query_of(parameters)) if p)
        signature = self.signature(method, path, raw, lower, signed, UNSIGNED, at)
        return f"{raw}&X-Amz-Signature={signature}"

    def chunks(
        self,
        seed: Mapping[str, str],
        body: bytes,
        size: int = 64 * 1024,
        trailer: Mapping[str, str] | None = None,
    ) -> list[bytes]:
        """A signed aws-chunked body as pieces, the last of size 0; `seed` is what `header()` returned.

        With `trailer` the pieces end with the trailing headers and their signature.
        """
        at = seed["X-Amz-Date"]
        key, scope = self.signing_key(at), self.scope(at)
        previous = seed["Authorization"].rpartition("Signature=")[2]
        pieces = []
        for start in [*range(0, len(body), size), len(body)]:
            data = body[start : start + size]
            text = ["AWS4-HMAC-SHA256-PAYLOAD", at, scope, previous, EMPTY_SHA256, _sha256(data)]
            previous = _hmac(key, "\n".join(text)).hex()
            end = b"\r\n" if data or trailer is None else b""
            pieces.append(f"{len(data):x};chunk-signature={previous}\r\n".encode() + data + end)
        if trailer is not None:
            lines = "".join(f"{k.lower()}:{v}\n" for k, v in trailer.items())
            text = ["AWS4-HMAC-SHA256-TRAILER", at, scope, previous, _sha256(lines.encode())]
            signature = _hmac(key, "\n".join(text)).hex()
            sent = "".join(f"{k}:{v}\r\n" for k, v in trailer.items())
            pieces.append(f"{sent}x-amz-trailer-signature:{signature}\r\n\r\n".encode())
        return pieces


def unsigned_chunks(body: bytes, size: int = 64 * 1024, trailer: Mapping[str, str] | None = None) -> list[bytes]:
    """An aws-chunked body without signatures (STREAMING-UNSIGNED-PAYLOAD-TRAILER), as pieces."""
    pieces = [
        f"{len(body[i : i + size]):x}\r\n".encode() + body[i : i + size] + b"\r\n" for i in range(0, len(body), size)
    ]
    pieces.append(b"0\r\n" + "".join(f"{k}:{v}\r\n" for k, v in (trailer or {}).items()).encode() + b"\r\n")
    return pieces
