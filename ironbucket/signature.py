"""Signature Version 4 as pure functions: canonical request, string to sign, key, signature; and the two sides of it.

Knows neither server nor client: the requests of S3 clients and those of cluster peers are signed and verified with
the same code. `sign` is the sender's side, `Verifier` the receiver's.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import operator
import re
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from ironbucket.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

#: how far the clocks of sender and receiver may be apart, in seconds
MAX_SKEW = 15 * 60

#: how many entries a cache takes before it is emptied; only verified requests make entries that an outsider chooses
_CACHED = 1024

_IPAD = bytes(i ^ 0x36 for i in range(256))
_OPAD = bytes(i ^ 0x5C for i in range(256))

#: paths and queries that are canonical as they stand
_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/]*").fullmatch
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9\-._~]+=[A-Za-z0-9\-._~]*").fullmatch
#: runs of blanks count as one; no other control character passes the HTTP parser
_BLANKS = re.compile(r"[ \t\v\f]+")
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII).fullmatch


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
    if _TIMESTAMP(text) is None:
        raise ValueError(f"{text!r} is not a time of the form YYYYMMDDTHHMMSSZ")
    return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))


def canonical_path(raw_path: str) -> str:
    """The path with each byte encoded once, the slashes kept, and nothing normalised: S3's own rule."""
    if _PLAIN_PATH(raw_path):
        return raw_path
    return quote_from_bytes(unquote_to_bytes(raw_path.encode("latin-1")), safe="/~")


def _encode(text: str) -> str:
    return quote_from_bytes(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), safe="~")


def canonical_query(raw_query: str, without: str = "") -> str:
    """The parameters, each byte encoded once, in the order of the encoded names; the one named `without` left out."""
    if not raw_query or (not without and _PLAIN_QUERY(raw_query)):
        return raw_query
    pairs = []
    for item in raw_query.split("&"):
        if item:
            name, _, value = item.partition("=")
            pairs.append((_encode(name), _encode(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs if name != without])


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


#: what a valid signature proves, and what the signatures of chunks build upon: access key, x-amz-content-sha256,
#: signature, signer, scope (DATE/REGION/SERVICE/aws4_request), timestamp. A plain tuple, for speed.
Verified = tuple[str, str, str, Signer, str, str]


class Authorization(NamedTuple):
    """An Authorization header, taken apart."""

    access_key: str
    date: str  # YYYYMMDD
    region: str
    service: str
    terminator: str
    signed: tuple[str, ...]  # lower-case names of the signed headers, in their order
    signature: str


def parse_credential(text: str) -> tuple[str, str, str, str, str] | None:
    """ACCESS-KEY/YYYYMMDD/REGION/SERVICE/aws4_request taken apart from the right; None if it is not of that form."""
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not all(parts):
        return None
    return parts[0], parts[1], parts[2], parts[3], parts[4]


def parse_authorization(text: str) -> Authorization:
    """Take an Authorization header apart: any order, any spacing. Raises the S3 errors of a header that is not one."""
    mechanism, _, rest = text.strip(" ").partition(" ")
    if mechanism != ALGORITHM:
        if mechanism == "AWS" or mechanism.startswith("AWS4-"):
            raise InvalidRequest(
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
            )
        raise InvalidArgument("Unsupported Authorization Type", ArgumentName="Authorization", ArgumentValue=text)
    fields: dict[str, str] = {}
    for component in rest.split(","):
        name, separator, value = component.strip(" ").partition("=")
        if not separator or name in fields:
            raise _malformed(
                "the authorization header requires three components: Credential, SignedHeaders, and Signature."
            )
        fields[name] = value.strip(" ")
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise _malformed(f"missing {name}.")
    credential = parse_credential(fields["Credential"])
    if credential is None:
        raise _malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    return Authorization(*credential, tuple(fields["SignedHeaders"].split(";")), fields["Signature"])


def _malformed(reason: str, **details: str) -> AuthorizationHeaderMalformed:
    return AuthorizationHeaderMalformed(f"The authorization header is malformed; {reason}", **details)


class _Grant:
    """All that is the same in every request that one credential signs on one day for the same set of headers."""

    __slots__ = ("access_key", "date", "layouts", "scope", "signed", "signer", "template", "values")

    def __init__(self, access_key: str, date: str, scope: str, signed: tuple[str, ...], signer: Signer) -> None:
        self.access_key = access_key
        self.date = date
        self.scope = scope
        self.signed = signed
        self.signer = signer
        #: takes the values of the signed headers; KeyError if one is not there
        self.values: Callable[[Mapping[str, str]], tuple[str, ...]] = (
            operator.itemgetter(*signed) if len(signed) > 1 else lambda headers: (headers[signed[0]],)
        )
        #: the canonical request after the query: signed headers, their names, payload
        self.template = (
            "".join([name.replace("%", "%%") + ":%s\n" for name in signed])
            + "\n"
            + ";".join(signed).replace("%", "%%")
            + "\n"
        )
        #: the header names of requests that were found to sign all that must be signed
        self.layouts: set[tuple[str, ...]] = set()


class Verifier:
    """Verifies signed headers for one region and service; remembers keys and headers it has seen in valid requests."""

    def __init__(self, secret_of: Callable[[str], str | None], region: str, service: str = "s3") -> None:
        """`secret_of` gives the secret of an access key, None for an unknown one. It must not change its mind."""
        self._secret_of = secret_of
        self.region = region
        self.service = service
        self._grants: dict[str, _Grant] = {}
        self._signers: dict[tuple[str, str], Signer] = {}
        self._times: dict[str, int] = {}

    def verify(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str], now: float) -> Verified:
        """Verify the Authorization header, which must be there.

        Raises AuthorizationHeaderMalformed, InvalidArgument, InvalidRequest, InvalidAccessKeyId, AccessDenied (no
        date, a header not signed), RequestTimeTooSkewed, SignatureDoesNotMatch.
        """
        text = headers["authorization"]
        head, _, signature = text.rpartition("Signature=")
        grant = self._grants.get(head)
        usual = True
        if grant is None:
            authorization = parse_authorization(text)
            usual = authorization.signature == signature  # in another order it is not worth remembering
            signature = authorization.signature
            grant = self._grant(authorization)

        stamp = headers.get("x-amz-date") or _date(headers)
        signed_at = self._times.get(stamp)
        if signed_at is None or not -MAX_SKEW <= now - signed_at <= MAX_SKEW:
            self._check_time(stamp, now)
        if stamp[:8] != grant.date:
            raise _malformed(
                f'Invalid credential date "{grant.date}". This date is not the same as X-Amz-Date: "{stamp[:8]}".'
            )
        payload = headers.get("x-amz-content-sha256")
        if payload is None:
            raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
        layout = tuple(headers)
        if layout not in grant.layouts:
            check_signed(headers, grant.signed)

        try:
            rest = grant.template % grant.values(headers)
        except KeyError:  # signed, and not there
            rest = ""
        if not rest or "  " in rest or ": " in rest or " \n" in rest or "\t" in rest:
            rest = f"{canonical_headers(headers, grant.signed)}\n{';'.join(grant.signed)}\n"
        canonical = f"{method}\n{canonical_path(raw_path)}\n{raw_query and canonical_query(raw_query)}\n{rest}{payload}"
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        to_sign = f"{ALGORITHM}\n{stamp}\n{grant.scope}\n{digest}"
        if not (signature.isascii() and hmac.compare_digest(grant.signer.sign(to_sign.encode()), signature)):
            if "expect" in grant.signed and "expect" not in headers:  # a proxy has answered it, and dropped it
                return self.verify(method, raw_path, raw_query, {**headers, "expect": "100-continue"}, now)
            raise mismatch(grant.access_key, to_sign, signature, canonical)
        if layout not in grant.layouts:
            self._remember(head if usual else "", grant, layout)
        return grant.access_key, payload, signature, grant.signer, grant.scope, stamp

    def _remember(self, head: str, grant: _Grant, layout: tuple[str, ...]) -> None:
        """Keep what a valid request has shown."""
        if head:
            if len(self._grants) >= _CACHED:
                self._grants.clear()
            self._grants[head] = grant
        if len(grant.layouts) >= 16:
            grant.layouts.clear()
        grant.layouts.add(layout)

    def _grant(self, authorization: Authorization) -> _Grant:
        access_key, date, region, service, terminator, signed, _ = authorization
        if len(date) != 8 or not date.isdecimal():
            raise _malformed(
                f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".'
            )
        if region != self.region:
            raise _malformed(f"the region '{region}' is wrong; expecting '{self.region}'", Region=self.region)
        if service != self.service:
            raise _malformed(f'incorrect service "{service}". This endpoint belongs to "{self.service}".')
        if terminator != TERMINATOR:
            raise _malformed(f'incorrect terminal "{terminator}". This endpoint uses "{TERMINATOR}".')
        signer = self.signer(access_key, date)
        return _Grant(access_key, date, f"{date}/{region}/{service}/{TERMINATOR}", signed, signer)

    def signer(self, access_key: str, date: str) -> Signer:
        """The signer of an access key on a day (YYYYMMDD). Raises InvalidAccessKeyId."""
        signer = self._signers.get((access_key, date))
        if signer is None:
            secret = self._secret_of(access_key)
            if secret is None:
                raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
            if len(self._signers) >= _CACHED:
                self._signers.clear()
            signer = Signer(signing_key(secret, date, self.region, self.service))
            self._signers[access_key, date] = signer
        return signer

    def _check_time(self, stamp: str, now: float) -> None:
        """Raises RequestTimeTooSkewed, and AccessDenied for what is not a time."""
        signed_at = self._times.get(stamp)
        if signed_at is None:
            try:
                signed_at = parse_timestamp(stamp)
            except ValueError:
                raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header") from None
            if len(self._times) >= _CACHED:
                self._times.clear()
            self._times[stamp] = signed_at
        if not -MAX_SKEW <= now - signed_at <= MAX_SKEW:
            raise RequestTimeTooSkewed(
                RequestTime=stamp,
                ServerTime=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                MaxAllowedSkewMilliseconds=str(MAX_SKEW * 1000),
            )


def check_signed(headers: Mapping[str, str], names: Sequence[str]) -> None:
    """The host and every x-amz-* header must be among the signed `names`; AccessDenied otherwise."""
    unsigned = [name for name in headers if name not in names and name.startswith("x-amz-")]
    if unsigned or "host" not in names:
        raise AccessDenied(
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(unsigned or ["host"]),
        )


def mismatch(access_key: str, to_sign: str, signature: str, canonical: str) -> SignatureDoesNotMatch:
    """The error, with all that a developer needs to find out what they signed instead."""
    return SignatureDoesNotMatch(
        AWSAccessKeyId=access_key,
        StringToSign=to_sign,
        SignatureProvided=signature,
        StringToSignBytes=to_sign.encode().hex(" "),
        CanonicalRequest=canonical,
        CanonicalRequestBytes=canonical.encode("latin-1").hex(" "),
    )


def _date(headers: Mapping[str, str]) -> str:
    """The Date header in the form of x-amz-date; an empty string if there is none that can be read."""
    text = headers.get("date", "")
    if _TIMESTAMP(text):
        return text
    try:
        return timestamp(parsedate_to_datetime(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return ""
