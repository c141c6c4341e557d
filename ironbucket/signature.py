"""Signature Version 4 as pure functions: canonical request, string to sign, key, signature.

Knows no server and no client; S3 requests and the requests of cluster peers are signed and verified with it.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ALGORITHM = "AWS4-HMAC-SHA256"


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs for one day (YYYYMMDD), region and service."""
    raise NotImplementedError


def canonical_request(
    method: str, raw_path: str, raw_query: str, headers: Mapping[str, str], signed: Sequence[str], payload: str
) -> str:
    """The text whose hash is signed. `headers` by lower-case name; `signed` their names in order."""
    raise NotImplementedError


def string_to_sign(timestamp: str, scope: str, canonical: str) -> str:
    raise NotImplementedError


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
    payload: str = "UNSIGNED-PAYLOAD",
) -> dict[str, str]:
    """The headers (authorization, x-amz-date, x-amz-content-sha256) to send with a request. `headers` must hold host."""
    raise NotImplementedError
