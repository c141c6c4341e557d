"""Who sent a request: S3's published examples, requests signed by botocore, and all that S3 refuses."""

import hashlib
import time
from types import SimpleNamespace
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from ironbucket import signature
from ironbucket.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
)
from ironbucket.s3.request import Request
from ironbucket.s3.sigv4 import UNSIGNED, Authentication, authenticate
from tests.unit.s3.support import ACCESS_KEY, CREDENTIALS, NOW, SECRET, request

EMPTY = hashlib.sha256(b"").hexdigest()
SCOPE = f"{ACCESS_KEY}/20130524/us-east-1/s3/aws4_request"


def check(subject: Request, now: float = NOW, region: str = "us-east-1") -> Authentication:
    return authenticate(subject, CREDENTIALS, region=region, now=now)


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
PUBLISHED = {
    "GET object": (
        "GET",
        "/test.txt",
        {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY, "x-amz-date": "20130524T000000Z"},
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": (
        "PUT",
        "/test%24file.text",
        {
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-content-sha256": hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
            "x-amz-date": "20130524T000000Z",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET bucket lifecycle": (
        "GET",
        "/?lifecycle",
        {"x-amz-content-sha256": EMPTY, "x-amz-date": "20130524T000000Z"},
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "GET bucket (list objects)": (
        "GET",
        "/?max-keys=2&prefix=J",
        {"x-amz-content-sha256": EMPTY, "x-amz-date": "20130524T000000Z"},
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


def published(name: str) -> Request:
    method, target, headers, proof = PUBLISHED[name]
    headers = {"host": "examplebucket.s3.amazonaws.com", **headers}
    names = ";".join(sorted(headers))
    authorization = f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={names},Signature={proof}"
    return request(method, target, {**headers, "authorization": authorization})


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_examples(name: str) -> None:
    subject = published(name)
    authentication = check(subject)
    assert subject.identity is authentication.identity
    assert authentication.identity.access_key == ACCESS_KEY
    assert authentication.mode == subject.headers["x-amz-content-sha256"]
    assert authentication.seed_signature == PUBLISHED[name][3]
    assert authentication.scope == "20130524/us-east-1/s3/aws4_request"
    assert authentication.timestamp == "20130524T000000Z"
    assert authentication.signing_key == signature.signing_key(SECRET, "20130524", "us-east-1", "s3")


# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
PRESIGNED = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": SCOPE,
    "X-Amz-Date": "20130524T000000Z",
    "X-Amz-Expires": "86400",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
}
PRESIGNED_HEADERS = {"host": "examplebucket.s3.amazonaws.com"}


def presigned(changes: dict[str, str | None] | None = None, headers: dict[str, str] | None = None) -> Request:
    query = {**PRESIGNED, **(changes or {})}
    raw = urlencode({name: value for name, value in query.items() if value is not None})
    return request("GET", "/test.txt?" + raw, {**PRESIGNED_HEADERS, **(headers or {})})


def test_the_published_presigned_example() -> None:
    for now in (NOW - 900, NOW, NOW + 86400):
        authentication = check(presigned(), now)
        assert authentication.mode == UNSIGNED
        assert authentication.identity.access_key == ACCESS_KEY


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
#: what HTTP libraries can send and botocore can sign
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
PARAMETERS = st.dictionaries(KEYS.filter(lambda name: name and not name.lower().startswith("x-amz-")), KEYS, max_size=3)
NAMES = st.from_regex(r"x-amz-meta-[a-z0-9-]{1,8}", fullmatch=True)


def botocore_request(key: str, query: dict[str, str], headers: dict[str, str], data: bytes = b"") -> AWSRequest:
    raw = urlencode(query, quote_via=quote)
    url = f"http://127.0.0.1:9000/bucket/{quote(key, safe='/~')}" + ("?" + raw if raw else "")
    return AWSRequest(method="PUT", url=url, headers=headers, data=data)


def received(sent: AWSRequest) -> Request:
    prepared = sent.prepare()
    parts = urlsplit(prepared.url)
    headers = [
        ("host", parts.netloc),
        *((k, v if isinstance(v, str) else v.decode()) for k, v in prepared.headers.items()),
    ]
    return request("PUT", prepared.url.split(parts.netloc, 1)[1], headers)


@given(KEYS, PARAMETERS, st.dictionaries(NAMES, VALUES, max_size=3))
def test_what_botocore_signs(key: str, query: dict[str, str], headers: dict[str, str]) -> None:
    sent = botocore_request(key, query, headers, b"payload")
    S3SigV4Auth(BotoCredentials(ACCESS_KEY, SECRET), "s3", "us-east-1").add_auth(sent)
    subject = received(sent)
    assert subject.key == key
    assert check(subject, time.time()).mode == hashlib.sha256(b"payload").hexdigest()
    subject.headers["x-amz-meta-more"] = ""
    with pytest.raises(AccessDenied):
        check(subject, time.time())


@given(KEYS, PARAMETERS, st.dictionaries(NAMES, VALUES, max_size=3))
def test_what_botocore_presigns(key: str, query: dict[str, str], headers: dict[str, str]) -> None:
    sent = botocore_request(key, query, headers)
    S3SigV4QueryAuth(BotoCredentials(ACCESS_KEY, SECRET), "s3", "us-east-1", expires=60).add_auth(sent)
    subject = received(sent)
    assert check(subject, time.time()).mode == UNSIGNED
    assert subject.key == key
    with pytest.raises(AccessDenied, match="Request has expired"):
        check(received(sent), time.time() + 62)


def test_the_session_token_of_botocore_is_refused_as_unknown() -> None:
    for signer in (S3SigV4Auth, S3SigV4QueryAuth):
        sent = botocore_request("key", {}, {})
        signer(BotoCredentials(ACCESS_KEY, SECRET, "token"), "s3", "us-east-1").add_auth(sent)
        with pytest.raises(InvalidToken):
            check(received(sent), time.time())


def sign(headers: dict[str, str] | None = None, **changes: object) -> Request:
    arguments: dict[str, object] = {"access_key": ACCESS_KEY, "secret": SECRET, "region": "us-east-1", "now": NOW}
    signed = signature.sign("GET", "/b/k", {"host": "h", **(headers or {})}, **{**arguments, **changes})  # type: ignore[arg-type]
    return request("GET", "/b/k", signed)


def test_an_anonymous_request_is_denied() -> None:
    with pytest.raises(AccessDenied) as caught:
        check(request("GET", "/b/k", {"host": "h"}))
    assert caught.value.message == "Access Denied"


@pytest.mark.parametrize(
    ("authorization", "error", "message"),
    [
        ("AWS AKID:signature", InvalidRequest, "Please use AWS4-HMAC-SHA256."),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", InvalidRequest, "Please use AWS4-HMAC-SHA256."),
        ("Bearer token", InvalidArgument, "Unsupported Authorization Type"),
        ("", InvalidArgument, "Unsupported Authorization Type"),
        ("AWS4-HMAC-SHA256", AuthorizationHeaderMalformed, "requires three components"),
        ("AWS4-HMAC-SHA256 Credential=a", AuthorizationHeaderMalformed, "missing SignedHeaders."),
        ("AWS4-HMAC-SHA256 Credential=a,SignedHeaders=host", AuthorizationHeaderMalformed, "missing Signature."),
        ("AWS4-HMAC-SHA256 SignedHeaders=host,Signature=s", AuthorizationHeaderMalformed, "missing Credential."),
        ("AWS4-HMAC-SHA256 Credential=a,Credential=a", AuthorizationHeaderMalformed, "three components"),
        ("AWS4-HMAC-SHA256 Credential=a/b,SignedHeaders=host,Signature=s", AuthorizationHeaderMalformed, "mal-formed"),
        (
            "AWS4-HMAC-SHA256 Credential=a/2013/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=s",
            AuthorizationHeaderMalformed,
            "yyyyMMdd",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/ec2/aws4_request,SignedHeaders=host,Signature=s",
            AuthorizationHeaderMalformed,
            'incorrect service "ec2"',
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws5,SignedHeaders=host,Signature=s",
            AuthorizationHeaderMalformed,
            'incorrect terminal "aws5"',
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=s",
            InvalidAccessKeyId,
            "does not exist in our records",
        ),
    ],
)
def test_malformed_authorizations(authorization: str, error: type[S3Error], message: str) -> None:
    with pytest.raises(error, match=message):
        check(request("GET", "/b/k", {"host": "h", "authorization": authorization}))


def test_another_region_is_named() -> None:
    with pytest.raises(AuthorizationHeaderMalformed) as caught:
        check(sign(region="eu-west-1"))
    assert caught.value.details == {"Region": "us-east-1"}
    assert "the region 'eu-west-1' is wrong; expecting 'us-east-1'" in caught.value.message


def test_clock_skew() -> None:
    with pytest.raises(RequestTimeTooSkewed) as caught:
        check(sign(), NOW + 901)
    assert caught.value.details == {
        "RequestTime": "20130524T000000Z",
        "ServerTime": "2013-05-24T00:15:01Z",
        "MaxAllowedSkewMilliseconds": "900000",
    }


def test_a_header_that_is_not_signed_is_named() -> None:
    subject = sign()
    subject.headers["x-amz-acl"] = "public-read"
    with pytest.raises(AccessDenied) as caught:
        check(subject)
    assert caught.value.details == {"HeadersNotSigned": "x-amz-acl"}


def test_the_payloads_hash_is_required_and_must_be_one() -> None:
    subject = sign()
    del subject.headers["x-amz-content-sha256"]
    with pytest.raises(InvalidRequest, match="x-amz-content-sha256"):
        check(subject)
    for payload in ("", "unsigned", EMPTY.upper(), EMPTY + "0", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        with pytest.raises(InvalidArgument, match="x-amz-content-sha256"):
            check(sign(payload=payload))


def test_both_ways_at_once() -> None:
    with pytest.raises(InvalidArgument, match="Only one auth mechanism allowed"):
        check(presigned(headers={"authorization": "AWS4-HMAC-SHA256 x"}))


def test_version_2_in_the_query() -> None:
    with pytest.raises(InvalidRequest, match=r"Please use AWS4-HMAC-SHA256\."):
        check(request("GET", "/b/k?AWSAccessKeyId=a&Expires=1&Signature=s", {"host": "h"}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        *(({name: None}, AuthorizationQueryParametersError, "requires the X-Amz-Algorithm") for name in PRESIGNED),
        ({"X-Amz-Algorithm": "AWS4-HMAC-SHA1"}, AuthorizationQueryParametersError, "X-Amz-Algorithm only supports"),
        ({"X-Amz-Credential": "a/b"}, AuthorizationQueryParametersError, "mal-formed"),
        ({"X-Amz-Credential": SCOPE.replace("2013", "x")}, AuthorizationQueryParametersError, "yyyyMMdd"),
        (
            {"X-Amz-Credential": SCOPE.replace("us-east-1", "x")},
            AuthorizationQueryParametersError,
            "region 'x' is wrong",
        ),
        ({"X-Amz-Credential": SCOPE.replace("/s3/", "/sts/")}, AuthorizationQueryParametersError, 'service "sts"'),
        ({"X-Amz-Credential": SCOPE.replace("aws4", "x")}, AuthorizationQueryParametersError, 'terminal "x_request"'),
        ({"X-Amz-Credential": SCOPE.replace("0524", "0525")}, AuthorizationQueryParametersError, "not the same as"),
        ({"X-Amz-Credential": "x" + SCOPE}, InvalidAccessKeyId, "does not exist"),
        ({"X-Amz-Date": "Fri, 24 May 2013"}, AuthorizationQueryParametersError, "ISO8601 Long Format"),
        ({"X-Amz-Expires": "soon"}, AuthorizationQueryParametersError, "should be a number"),
        ({"X-Amz-Expires": "-1"}, AuthorizationQueryParametersError, "non-negative"),
        ({"X-Amz-Expires": "604801"}, AuthorizationQueryParametersError, "less than a week"),
        ({"X-Amz-Expires": "9" * 5000}, AuthorizationQueryParametersError, "should be a number"),
        ({"X-Amz-Expires": "86401"}, SignatureDoesNotMatch, "signature"),
        ({"X-Amz-SignedHeaders": "range"}, AccessDenied, "not signed"),
        ({"X-Amz-SignedHeaders": "host;range"}, SignatureDoesNotMatch, "signature"),
        ({"X-Amz-Signature": PRESIGNED["X-Amz-Signature"].upper()}, SignatureDoesNotMatch, "signature"),
        ({"X-Amz-Signature": "ä"}, SignatureDoesNotMatch, "signature"),
        ({"response-content-type": "text/html"}, SignatureDoesNotMatch, "signature"),
        ({"X-Amz-Security-Token": "x"}, SignatureDoesNotMatch, "signature"),
    ],
)
def test_presigned_parameters(changes: dict[str, str | None], error: type[S3Error], message: str) -> None:
    with pytest.raises(error, match=message):
        check(presigned(changes))


def test_presigned_times() -> None:
    with pytest.raises(AccessDenied, match="Request has expired") as caught:
        check(presigned(), NOW + 86401)
    assert caught.value.details["X-Amz-Expires"] == "86400"
    assert caught.value.details["Expires"] == "2013-05-25T00:00:00Z"
    assert caught.value.details["ServerTime"] == "2013-05-25T00:00:01Z"
    with pytest.raises(AccessDenied, match="not valid yet"):
        check(presigned(), NOW - 901)


def test_presigned_headers_must_be_signed() -> None:
    with pytest.raises(AccessDenied) as caught:
        check(presigned(headers={"x-amz-acl": "public-read"}))
    assert caught.value.details == {"HeadersNotSigned": "x-amz-acl"}


def test_parameters_of_a_presigned_url_count_as_headers_except_checksums() -> None:
    """The JavaScript SDK puts headers into the query, and with them the checksum of a body it does not know."""
    query = {"x-amz-meta-a": "1", "x-amz-storage-class": "GLACIER", "x-amz-checksum-crc32": "AAAAAA=="}
    sent = botocore_request("key", query, {})
    S3SigV4QueryAuth(BotoCredentials(ACCESS_KEY, SECRET), "s3", "us-east-1", expires=60).add_auth(sent)
    subject = received(sent)
    check(subject, time.time())
    assert subject.headers["x-amz-meta-a"] == "1"
    assert subject.headers["x-amz-storage-class"] == "GLACIER"
    assert "x-amz-checksum-crc32" not in subject.headers


def test_hoisted_parameters_of_a_header_signed_request_stay_parameters() -> None:
    signed = signature.sign(
        "GET",
        "/b/k?x-amz-acl=private",
        {"host": "h"},
        access_key=ACCESS_KEY,
        secret=SECRET,
        region="us-east-1",
        now=NOW,
    )
    subject = request("GET", "/b/k?x-amz-acl=private", signed)
    check(subject)
    assert "x-amz-acl" not in subject.headers


def test_other_keys_make_another_identity() -> None:
    from ironbucket.s3.credentials import Credentials

    more = SimpleNamespace(
        access_key=ACCESS_KEY, secret_key=SECRET, credentials={"app": {"secret": "s", "account": "backup"}}
    )
    credentials = Credentials.from_settings(more)
    found = authenticate(sign(access_key="app", secret="s"), credentials, region="us-east-1", now=NOW)
    assert found.identity.account == "backup"
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(sign(access_key="app"), credentials, region="us-east-1", now=NOW)
