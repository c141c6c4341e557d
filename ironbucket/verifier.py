"""The receiver's side of Signature Version 4: an Authorization header taken apart, and verified.

Requests of S3 clients and those of cluster peers are verified with the same code, for another region and service.
The errors are S3's, since clients and SDKs know them.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import operator
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from ironbucket.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from ironbucket.signature import (
    ALGORITHM,
    TERMINATOR,
    Signer,
    canonical_headers,
    canonical_path,
    canonical_query,
    is_timestamp,
    parse_timestamp,
    signing_key,
    timestamp,
)

#: how far the clocks of sender and receiver may be apart, in seconds
MAX_SKEW = 15 * 60

#: how many entries a cache takes before it is emptied; a stranger's requests make entries in one of times alone
_CACHED = 1024

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

    __slots__ = ("_last", "_template", "_values", "access_key", "date", "layouts", "scope", "signed", "signer")

    def __init__(self, access_key: str, date: str, scope: str, signed: tuple[str, ...], signer: Signer) -> None:
        self.access_key = access_key
        self.date = date
        self.scope = scope
        self.signed = signed
        self.signer = signer
        #: takes the values of the signed headers; KeyError if one is not there
        self._values: Callable[[Mapping[str, str]], tuple[str, ...]] = (
            operator.itemgetter(*signed) if len(signed) > 1 else lambda headers: (headers[signed[0]],)
        )
        #: the canonical request between query and payload: signed headers and their names
        self._template = (
            "".join([name.replace("%", "%%") + ":%s\n" for name in signed])
            + "\n"
            + ";".join(signed).replace("%", "%%")
            + "\n"
        )
        #: the header names of requests that were found to sign all that must be signed
        self.layouts: set[tuple[str, ...]] = set()
        #: the last values, and what they became: the requests of one second differ in path and query alone
        self._last: tuple[tuple[str, ...], str] = ((), "")

    def canonical(self, headers: Mapping[str, str]) -> str:
        """The canonical request after the query and before the payload."""
        try:
            values = self._values(headers)
        except KeyError:  # signed, and not there
            return f"{canonical_headers(headers, self.signed)}\n{';'.join(self.signed)}\n"
        last = self._last
        if values == last[0]:
            return last[1]
        text = self._template % values
        if "  " in text or ": " in text or " \n" in text or "\t" in text:
            text = f"{canonical_headers(headers, self.signed)}\n{';'.join(self.signed)}\n"
        self._last = values, text
        return text


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
        seen = layout in grant.layouts
        if not seen:
            check_signed(headers, grant.signed)

        rest = grant.canonical(headers)
        canonical = f"{method}\n{canonical_path(raw_path)}\n{raw_query and canonical_query(raw_query)}\n{rest}{payload}"
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        to_sign = f"{ALGORITHM}\n{stamp}\n{grant.scope}\n{digest}"
        if not (signature.isascii() and hmac.compare_digest(grant.signer.sign(to_sign.encode()), signature)):
            if "expect" in grant.signed and "expect" not in headers:  # a proxy has answered it, and dropped it
                return self.verify(method, raw_path, raw_query, {**headers, "expect": "100-continue"}, now)
            raise mismatch(grant.access_key, to_sign, signature, canonical)
        if not seen:
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
    if is_timestamp(text):
        return text
    try:
        return timestamp(parsedate_to_datetime(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return ""
