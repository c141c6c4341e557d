"""Presigned URLs: every verb, expiry, tampering, and what may be left out."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.harness.raw import RawClient
from tests.harness.signing import Signer, path_of
from tests.s3.expect import body, missing


def presigned(raw: RawClient, method: str, bucket: str, key: str = "", query: str = "", **options: Any) -> str:
    path = path_of(bucket, key)
    return f"{path}?{raw.signer.presign(method, raw.host, path, query, **options)}"


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="ü k", Body=b"data")
    return bucket


def test_get_head_put_delete(raw: RawClient, s3: Any, stored: str) -> None:
    assert raw.send("GET", presigned(raw, "GET", stored, "ü k"), {}).body == b"data"
    head = raw.send("HEAD", presigned(raw, "HEAD", stored, "ü k"), {})
    assert (head.status, head.headers["content-length"]) == (200, "4")
    put = raw.send("PUT", presigned(raw, "PUT", stored, "new"), {"Content-Type": "text/x"}, b"sent")
    assert put.status == 200
    assert s3.get_object(Bucket=stored, Key="new")["ContentType"] == "text/x"
    assert raw.send("DELETE", presigned(raw, "DELETE", stored, "new"), {}).status == 204
    assert missing(s3, stored, "new")


def test_botocore_makes_urls_that_work(raw: RawClient, s3: Any, stored: str) -> None:
    for call, arguments in (
        ("get_object", {"Key": "ü k"}),
        ("list_objects_v2", {"Prefix": "ü"}),
        ("head_bucket", {}),
    ):
        url = urlsplit(s3.generate_presigned_url(call, Params={"Bucket": stored, **arguments}))
        method = "HEAD" if call.startswith("head") else "GET"
        answer = raw.send(method, f"{url.path}?{url.query}", {})
        assert answer.status == 200, str(answer)


def test_response_overrides_are_signed_too(raw: RawClient, stored: str) -> None:
    target = presigned(raw, "GET", stored, "ü k", "response-content-type=text%2Fcss")
    assert raw.send("GET", target, {}).headers["content-type"] == "text/css"
    answer = raw.send("GET", target.replace("css", "html"), {})
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_ranges_work(raw: RawClient, stored: str) -> None:
    answer = raw.send("GET", presigned(raw, "GET", stored, "ü k"), {"Range": "bytes=1-2"})
    assert (answer.status, answer.body) == (206, b"at")


def at(offset: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + offset))


def test_expired(raw: RawClient, stored: str) -> None:
    answer = raw.send("GET", presigned(raw, "GET", stored, "ü k", timestamp=at(-3600), expires=3500), {})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "expired" in answer.xml().findtext("Message", "")
    assert answer.xml().findtext("Expires")


def test_valid_for_a_week(raw: RawClient, stored: str) -> None:
    target = presigned(raw, "GET", stored, "ü k", timestamp=at(-6 * 86400), expires=604800)
    assert raw.send("GET", target, {}).status == 200


@pytest.mark.parametrize("expires", ["604801", "-1", "x", "", "1e3", "99999999999999999999"])
def test_lifetimes_that_are_refused(raw: RawClient, stored: str, expires: str) -> None:
    answer = raw.send("GET", presigned(raw, "GET", stored, "ü k", expires=expires), {})
    assert (answer.status, answer.code) == (400, "AuthorizationQueryParametersError"), str(answer)


def test_signed_in_the_future(raw: RawClient, stored: str) -> None:
    answer = raw.send("GET", presigned(raw, "GET", stored, "ü k", timestamp=at(3600)), {})
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_tampering(raw: RawClient, stored: str) -> None:
    good = presigned(raw, "GET", stored, "ü k")
    changed = [
        good.replace("%C3%BC%20k", "other"),
        good.replace("X-Amz-Expires=300", "X-Amz-Expires=301"),
        good + "&versionId=null",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace("X-Amz-Signature=", "X-Amz-Signature=00"),
    ]
    for target in changed:
        answer = raw.send("GET", target, {})
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), target
    answer = raw.send("DELETE", good, {})
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    answer = raw.send("GET", good, {"Host": "elsewhere:9000"})
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_a_missing_parameter(raw: RawClient, stored: str, name: str) -> None:
    path, _, query = presigned(raw, "GET", stored, "ü k").partition("?")
    rest = "&".join(p for p in query.split("&") if not p.startswith(f"X-Amz-{name}="))
    answer = raw.send("GET", f"{path}?{rest}", {})
    assert answer.status in (400, 403), str(answer)
    assert answer.code in ("AuthorizationQueryParametersError", "AccessDenied"), str(answer)


def test_signed_headers_must_be_sent(raw: RawClient, s3: Any, bucket: str) -> None:
    target = presigned(raw, "PUT", bucket, "k", headers={"x-amz-meta-m": "1"})
    assert raw.send("PUT", target, {}, b"x").status == 403
    assert raw.send("PUT", target, {"x-amz-meta-m": "2"}, b"x").status == 403
    assert missing(s3, bucket, "k")
    assert raw.send("PUT", target, {"x-amz-meta-m": "1"}, b"x").status == 200
    assert body(s3, bucket, "k") == b"x"


def test_an_amz_header_that_was_not_signed_is_refused(raw: RawClient, s3: Any, bucket: str) -> None:
    """Else whoever holds the URL could turn an upload into a copy or set what its maker did not."""
    answer = raw.send("PUT", presigned(raw, "PUT", bucket, "k"), {"x-amz-acl": "public-read"}, b"x")
    assert (answer.status, answer.code) == (403, "AccessDenied"), str(answer)
    assert missing(s3, bucket, "k")


def test_another_key_pair(raw: RawClient, stored: str) -> None:
    path = path_of(stored, "ü k")
    for access_key, code in (
        ("AKIAIOSFODNN7UNKNOWN", "InvalidAccessKeyId"),
        (raw.signer.access_key, "SignatureDoesNotMatch"),
    ):
        query = Signer(access_key, "another secret").presign("GET", raw.host, path)
        answer = raw.send("GET", f"{path}?{query}", {})
        assert (answer.status, answer.code) == (403, code)


def test_both_ways_at_once_are_refused(raw: RawClient, stored: str) -> None:
    path, _, query = presigned(raw, "GET", stored, "ü k").partition("?")
    headers = raw.signer.header("GET", raw.host, path, query)
    answer = raw.send("GET", f"{path}?{query}", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_presigned_put_accepts_a_declared_digest(raw: RawClient, s3: Any, bucket: str) -> None:
    target = presigned(raw, "PUT", bucket, "k", headers={"content-md5": "jXd/OF09/siBXSD3SWAm3A=="})
    good = raw.send("PUT", target, {"Content-MD5": "jXd/OF09/siBXSD3SWAm3A=="}, b"data")
    assert good.status == 200, str(good)
    assert raw.send("PUT", target, {"Content-MD5": "jXd/OF09/siBXSD3SWAm3A=="}, b"DATA").code == "BadDigest"
    assert body(s3, bucket, "k") == b"data"
