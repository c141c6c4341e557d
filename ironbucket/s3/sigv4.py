"""Who sent this request: Signature Version 4, in the header and in the query.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

from typing import NamedTuple

from ironbucket.s3.credentials import Credentials, Identity
from ironbucket.s3.request import Request

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


class Authentication(NamedTuple):
    """A verified request: who sent it, how its payload is protected, and what chunk signatures build upon."""

    identity: Identity
    mode: str  # 64 hexadecimal digits of the payload's SHA-256, or one of the constants above
    seed_signature: str
    signing_key: bytes
    scope: str  # 20130524/us-east-1/s3/aws4_request
    timestamp: str  # 20130524T000000Z


def authenticate(request: Request, credentials: Credentials, *, region: str, now: float) -> Authentication:
    """`now`: Unix time in seconds. Raises AccessDenied when the request is anonymous, and the S3 errors of a bad one."""
    raise NotImplementedError
