"""Signature Version 4 as pure functions: canonical request, string to sign, key, signature; and the sender's side.

Knows neither server nor client: the requests of S3 clients and those of cluster peers are signed with the same code.
The receiver's side is `ironbucket.verifier`.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_IPAD = bytes(i ^ 0x36 for i in range(256))
_OPAD = bytes(i ^ 0x5C for i in range(256))

#: paths and parameters whose characters are encoded canonically: each that must be, in upper case, and no other
_ESCAPES = "%(?:[01][0-9A-F]|2[0-9A-C]|3[A-F]|40|5[B-E]|60|7[B-DF]|[89A-F][0-9A-F])"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/]*").fullmatch
_CANONICAL_PATH = re.compile(rf"(?:[A-Za-z0-9\-._~/]+|{_ESCAPES})*+").fullmatch
_CANONICAL_QUERY = re.compile(rf"(?:[A-Za-z0-9\-._~&=]+|{_ESCAPES}|%2F)*+").fullmatch
#: runs of blanks count as one; no other control character passes the HTTP parser
_BLANKS = re.compile(r"[ \t\v\f]+")
is_timestamp = re.compile(r"\d{8}T\d{6}Z", re.ASCII).fullmatch


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs for one day (YYYYMMDD), region and service."""
    return _hmac(_hmac(_hmac(_hmac(b"AWS4" + secret.encode(), date), region), service), TERMINATOR)


class Signer:
    """HMAC-SHA256 with one key, of which the first block is already hashed: half the cost of hmac.digest."""

    __slots__ = ("_inner", "_outer", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        block = key.ljust(64, b"\0")  # a signing key has 32 bytes, so it needs no hashing of its own
        self._inner = hashlib.sha256(block.translate(_IPAD))
        self._outer = hashlib.sha256(block.translate(_OPAD))

    def sign(self, text: bytes) -> str:
        """The signature, in lower-case hexadecimal."""
        inner = self._inner.copy()
        inner.update(text)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


def timestamp(now: float) -> str:
    """Unix time in seconds as YYYYMMDDTHHMMSSZ."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def parse_timestamp(text: str) -> int:
    """YYYYMMDDTHHMMSSZ as Unix time in seconds; ValueError for anything else."""
    if is_timestamp(text) is None:
        raise ValueError(f"{text!r} is not a time of the form YYYYMMDDTHHMMSSZ")
    return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))


def canonical_path(raw_path: str) -> str:
    """The path with each byte encoded once, the slashes kept, and nothing normalised: S3's own rule."""
    if _PLAIN_PATH(raw_path) or _CANONICAL_PATH(raw_path):
        return raw_path
    return quote_from_bytes(unquote_to_bytes(raw_path.encode("latin-1")), safe="/~")


def _encode(text: str) -> str:
    return quote_from_bytes(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), safe="~")


def canonical_query(raw_query: str, without: str = "") -> str:
    """The parameters, each byte encoded once, in the order of the encoded names; the one named `without` left out."""
    if _CANONICAL_QUERY(raw_query):
        pairs = [item.partition("=") for item in raw_query.split("&") if item]
        if raw_query.count("=") != sum([len(pair[1]) for pair in pairs]):  # a value holds one, which must be encoded
            pairs = [(name, "=", value.replace("=", "%3D")) for name, _, value in pairs]
    else:
        pairs = [
            (_encode(name), "=", _encode(value))
            for name, _, value in [item.partition("=") for item in raw_query.split("&") if item]
        ]
    pairs.sort()
    return "&".join([f"{name}={value}" for name, _, value in pairs if name != without])


def canonical_headers(headers: Mapping[str, str], signed: Sequence[str]) -> str:
    """A line `name:value` for each signed header. A header that is not there counts as empty."""
    lines = "\n".join([name + ":" + headers.get(name, "") for name in signed]) + "\n"
    if "  " in lines or "\t" in lines or " \n" in lines or ": " in lines:
        lines = "".join([f"{name}:{_BLANKS.sub(' ', headers.get(name, '')).strip(' ')}\n" for name in signed])
    return lines


def canonical_request(
    method: str, raw_path: str, raw_query: str, headers: Mapping[str, str], signed: Sequence[str], payload: str
) -> str:
    """The text whose hash is signed, in latin-1.

    `raw_path` and `raw_query` are as sent; `headers` go by lower-case name; `signed` are names in their order.
    """
    return (
        f"{method}\n{canonical_path(raw_path)}\n{canonical_query(raw_query)}\n"
        f"{canonical_headers(headers, signed)}\n{';'.join(signed)}\n{payload}"
    )


def string_to_sign(stamp: str, scope: str, canonical: str) -> str:
    """`scope` is DATE/REGION/SERVICE/aws4_request; `canonical` is a canonical request."""
    return f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode('latin-1')).hexdigest()}"


def sign(
    method: str,
    target: str,
    headers: Mapping[str, str],
    *,
    access_key: str,
    secret: str,
    region: str,
    service: str = "s3",
    now: float,
    payload: str = UNSIGNED_PAYLOAD,
) -> dict[str, str]:
    """The headers to send with a request: `headers` and authorization, x-amz-date, x-amz-content-sha256.

    `target` is path?query as it goes on the wire. `headers` must hold the host; all of them are signed. `payload`
    is the body's SHA-256 in hexadecimal, or one of the words that x-amz-content-sha256 allows.
    """
    stamp = timestamp(now)
    complete = {name.lower(): value for name, value in headers.items()}
    complete |= {"x-amz-date": stamp, "x-amz-content-sha256": payload}
    raw_path, _, raw_query = target.partition("?")
    signed = sorted(complete)
    canonical = canonical_request(method, raw_path, raw_query, complete, signed, payload)
    scope = f"{stamp[:8]}/{region}/{service}/{TERMINATOR}"
    key = signing_key(secret, stamp[:8], region, service)
    signature = _hmac(key, string_to_sign(stamp, scope, canonical)).hex()
    complete["authorization"] = (
        f"{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"
    )
    return complete


def encode_path(path: str) -> str:
    """A decoded path as it goes on the wire, so that it is its own canonical form."""
    return quote(path, safe="/~")
