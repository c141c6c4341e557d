"""Who sent this request: Signature Version 4, in the header or in the query (a presigned URL).

The signature itself is `ironbucket.signature` and `ironbucket.verifier`; here is what S3 asks of a request beyond it.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
and https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
import re
import time
from typing import NamedTuple

from ironbucket import signature, verifier
from ironbucket.errors import (
    AccessDenied,
    Anonymous,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
)
from ironbucket.s3.credentials import ANONYMOUS, Credentials, Identity
from ironbucket.s3.request import Request
from ironbucket.signature import Signer

UNSIGNED = signature.UNSIGNED_PAYLOAD
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

#: seconds that a presigned URL may be valid
MAX_EXPIRES = 7 * 24 * 3600

#: parameters that count as headers; S3 ignores checksums there, and must, since the JavaScript SDK puts that of an
#: empty body into each presigned URL
_HEADERS = "x-amz-"
_NOT_HEADERS = ("x-amz-checksum-", "x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-decoded-content-length")

_MODES = frozenset((UNSIGNED, signature.EMPTY_SHA256, STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER))
_SHA256 = re.compile(r"[0-9a-f]{64}").fullmatch
_NUMBER = re.compile(r"-?[0-9]{1,18}").fullmatch
_PARAMETERS = ("Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires")


class Authentication(NamedTuple):
    """A verified request: who sent it, how its payload is protected, and what chunk signatures build upon."""

    identity: Identity
    mode: str  # 64 hexadecimal digits of the payload's SHA-256, or one of the constants above
    seed_signature: str
    signer: Signer
    scope: str  # 20130524/us-east-1/s3/aws4_request
    timestamp: str  # 20130524T000000Z

    @property
    def signing_key(self) -> bytes:
        return self.signer.key


def authenticate(request: Request, credentials: Credentials, *, region: str, now: float) -> Authentication:
    """Verify a request; `now` is Unix time in seconds. Sets `request.identity`.

    Raises Anonymous when the request has no credentials, AccessDenied when it has expired, and InvalidAccessKeyId,
    SignatureDoesNotMatch, RequestTimeTooSkewed, AuthorizationHeaderMalformed, AuthorizationQueryParametersError,
    InvalidRequest, InvalidArgument or InvalidToken. Headers that a presigned URL carries as parameters (x-amz-*, in
    lower case) are afterwards among the request's headers.
    """
    headers, query = request.headers, request.query
    in_header = "authorization" in headers
    if query and ("X-Amz-Algorithm" in query or "X-Amz-Credential" in query or "X-Amz-Signature" in query):
        if in_header:
            raise InvalidArgument(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
                ArgumentName="Authorization",
                ArgumentValue=headers["authorization"],
            )
        verified = _presigned(request, credentials, region, now)
    elif in_header:
        keys = credentials.verifier(region)
        verified = keys.verify(request.method, request.raw_path, request.raw_query, headers, now)
    elif "AWSAccessKeyId" in query:
        raise InvalidRequest(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )
    else:
        raise Anonymous
    access_key, payload, seed, signer, scope, stamp = verified
    if payload not in _MODES and not _SHA256(payload):
        raise InvalidArgument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
            ArgumentValue=payload,
        )
    if "x-amz-security-token" in headers:  # there are no temporary credentials, so no token is the right one
        raise InvalidToken
    found = credentials.lookup(access_key)
    if found is None:
        raise AccessDenied
    request.identity = identity = found[1]
    return Authentication(identity, payload, seed, signer, scope, stamp)


def anonymous(request: Request) -> Authentication:
    """What stands in for the authentication of a request without credentials. Its payload cannot be signed."""
    payload = request.headers.get("x-amz-content-sha256", UNSIGNED)
    if payload in (STREAMING, STREAMING_TRAILER) or (payload not in _MODES and not _SHA256(payload)):
        raise AccessDenied
    request.identity = ANONYMOUS
    return Authentication(ANONYMOUS, payload, "", Signer(bytes(32)), "", "")


def _presigned(request: Request, credentials: Credentials, region: str, now: float) -> verifier.Verified:
    """Verify the parameters X-Amz-*, which sign all of the query but the signature itself."""
    headers, query = request.headers, request.query
    values = [query.get("X-Amz-" + name, "") for name in _PARAMETERS]
    if not all(values):
        raise AuthorizationQueryParametersError(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    algorithm, credential, provided, stamp, signed_headers, expires = values
    if algorithm != signature.ALGORITHM:
        raise AuthorizationQueryParametersError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    access_key, date, scope = _credential(credential, region)
    try:
        signed_at = signature.parse_timestamp(stamp)
    except ValueError:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        ) from None
    if stamp[:8] != date:
        raise AuthorizationQueryParametersError(
            f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{stamp[:8]}".'
        )
    lifetime = _lifetime(expires)
    signer = credentials.verifier(region).signer(access_key, date)
    if signed_at - now > verifier.MAX_SKEW:
        raise AccessDenied("Request is not valid yet", ServerTime=_iso(now), **{"X-Amz-Date": stamp})
    if now > signed_at + lifetime:
        raise AccessDenied(
            "Request has expired",
            **{"X-Amz-Expires": expires},
            Expires=_iso(signed_at + lifetime),
            ServerTime=_iso(now),
        )

    signed = tuple(signed_headers.split(";"))
    verifier.check_signed(headers, signed)
    payload = headers.get("x-amz-content-sha256") or query.get("X-Amz-Content-Sha256") or UNSIGNED
    canonical = (
        f"{request.method}\n{signature.canonical_path(request.raw_path)}\n"
        f"{signature.canonical_query(request.raw_query, without='X-Amz-Signature')}\n"
        f"{signature.canonical_headers(headers, signed)}\n{signed_headers}\n{payload}"
    )
    to_sign = signature.string_to_sign(stamp, scope, canonical)
    if not hmac.compare_digest(signer.sign(to_sign.encode()).encode(), provided.encode()):
        raise verifier.mismatch(access_key, to_sign, provided, canonical)
    if "X-Amz-Security-Token" in query:
        raise InvalidToken
    for name, value in query.items():
        if name.startswith(_HEADERS) and not name.startswith(_NOT_HEADERS):
            headers.setdefault(name, value.encode().decode("latin-1"))  # as a header of that text would have come
    return access_key, payload, provided, signer, scope, stamp


def _credential(text: str, region: str) -> tuple[str, str, str]:
    """Access key, date and scope of X-Amz-Credential."""
    parsed = verifier.parse_credential(text)
    if parsed is None:
        raise _bad_credential(
            'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    access_key, date, wanted, service, terminator = parsed
    if len(date) != 8 or not date.isdecimal():
        raise _bad_credential(
            f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".'
        )
    if wanted != region:
        raise _bad_credential(f"the region '{wanted}' is wrong; expecting '{region}'", Region=region)
    if service != "s3":
        raise _bad_credential(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if terminator != signature.TERMINATOR:
        raise _bad_credential(f'incorrect terminal "{terminator}". This endpoint uses "aws4_request".')
    return access_key, date, f"{date}/{region}/s3/{signature.TERMINATOR}"


def _bad_credential(reason: str, **details: str) -> AuthorizationQueryParametersError:
    return AuthorizationQueryParametersError(f"Error parsing the X-Amz-Credential parameter; {reason}", **details)


def _lifetime(expires: str) -> int:
    """X-Amz-Expires in seconds."""
    if not _NUMBER(expires):
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    lifetime = int(expires)
    if lifetime < 0:
        raise AuthorizationQueryParametersError("X-Amz-Expires must be non-negative")
    if lifetime > MAX_EXPIRES:
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {MAX_EXPIRES} seconds"
        )
    return lifetime


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
