"""Refusals: S3's codes, statuses and documents; a malformed request costs a 4xx, never a 5xx."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.harness.raw import Answer, RawClient
from tests.harness.signing import Signer, path_of
from tests.s3.expect import content_md5, fails


def test_the_error_document(raw: RawClient, bucket: str) -> None:
    answer = raw.request("GET", bucket, "ü/none")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = answer.xml()
    assert root.tag == "Error"
    assert root.findtext("Code") == "NoSuchKey"
    assert root.findtext("Message") == "The specified key does not exist."
    assert root.findtext("Key") == "ü/none"
    assert root.findtext("RequestId") == answer.headers["x-amz-request-id"]
    assert root.findtext("Resource", "").startswith(f"/{bucket}/")


def test_every_response_has_its_id_and_date(raw: RawClient, bucket: str) -> None:
    seen = set()
    for answer in (
        raw.request("GET"),
        raw.request("GET", bucket),
        raw.request("GET", bucket, "none"),
        raw.request("PUT", bucket, "k", body=b"x"),
        raw.request("GET", bucket, "k"),
        raw.request("HEAD", bucket, "none"),
        raw.request("GET", sign=False),
    ):
        assert re.fullmatch(r"[0-9A-Z]{16}", answer.headers["x-amz-request-id"])
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])
        seen.add(answer.headers["x-amz-request-id"])
    assert len(seen) == 7


def test_an_error_to_head_has_no_body(raw: RawClient, bucket: str) -> None:
    with raw.connect() as connection:
        for _ in range(2):  # the second answer shows that nothing was left over from the first
            headers = raw.signer.header("HEAD", raw.host, f"/{bucket}/none")
            lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
            connection.sendall(f"HEAD /{bucket}/none HTTP/1.1\r\n{lines}\r\n".encode())
            received = connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 404 ")
            assert received.endswith(b"\r\n\r\n")


def test_anonymous_requests_are_denied(raw: RawClient, bucket: str) -> None:
    for method, key in (("GET", ""), ("GET", "k"), ("PUT", "k"), ("DELETE", "k"), ("POST", "k")):
        answer = raw.request(method, bucket, key, sign=False)
        assert (answer.status, answer.code) == (403, "AccessDenied"), method
    assert raw.request("GET", sign=False).status == 403
    assert raw.request("HEAD", bucket, "k", sign=False).status == 403


def refused(answer: Answer, code: str, status: int = 403) -> None:
    assert (answer.status, answer.code) == (status, code), str(answer)


def test_wrong_keys(raw: RawClient, bucket: str) -> None:
    unknown = Signer("AKIAIOSFODNN7UNKNOWN", raw.signer.secret_key)
    answer = raw.request("GET", bucket, signer=unknown)
    refused(answer, "InvalidAccessKeyId")
    assert answer.xml().findtext("AWSAccessKeyId") == "AKIAIOSFODNN7UNKNOWN"
    refused(raw.request("GET", bucket, signer=Signer(raw.signer.access_key, "wrong")), "SignatureDoesNotMatch")


def test_clocks_apart(raw: RawClient, bucket: str) -> None:
    for offset in (-16 * 60, 16 * 60):
        signer = Signer(raw.signer.access_key, raw.signer.secret_key, clock_offset=offset)
        answer = raw.request("GET", bucket, signer=signer)
        refused(answer, "RequestTimeTooSkewed")
        assert answer.xml().findtext("ServerTime")
    for offset in (-14 * 60, 14 * 60):
        signer = Signer(raw.signer.access_key, raw.signer.secret_key, clock_offset=offset)
        assert raw.request("GET", bucket, signer=signer).status == 200


def test_another_region_or_service(raw: RawClient, bucket: str) -> None:
    keys = raw.signer.access_key, raw.signer.secret_key
    answer = raw.request("GET", bucket, signer=Signer(*keys, region="eu-west-1"))
    refused(answer, "AuthorizationHeaderMalformed", 400)
    assert answer.xml().findtext("Region") == "us-east-1"
    refused(raw.request("GET", bucket, signer=Signer(*keys, service="ec2")), "AuthorizationHeaderMalformed", 400)


def test_a_changed_request_is_refused(raw: RawClient, bucket: str) -> None:
    path = path_of(bucket, "k")
    base = raw.signer.header("PUT", raw.host, path, "a=b", {"x-amz-meta-m": "1", "Content-Type": "text/x"})
    changes: list[tuple[str, str, dict[str, str]]] = [
        ("GET", f"{path}?a=b", base),
        ("PUT", f"{path}2?a=b", base),
        ("PUT", f"{path}?a=c", base),
        ("PUT", f"{path}?a=b&c", base),
        ("PUT", path, base),
        ("PUT", f"{path}?a=b", {**base, "x-amz-meta-m": "2"}),
        ("PUT", f"{path}?a=b", {**base, "Content-Type": "text/y"}),
        ("PUT", f"{path}?a=b", {**base, "X-Amz-Content-Sha256": "0" * 64}),
        ("PUT", f"{path}?a=b", {**base, "Host": "other.example"}),
    ]
    for method, target, headers in changes:
        refused(raw.send(method, target, headers), "SignatureDoesNotMatch")


def test_an_amz_header_that_is_not_signed_is_refused(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("PUT", raw.host, path_of(bucket, "k"))
    answer = raw.send("PUT", path_of(bucket, "k"), {**headers, "x-amz-meta-extra": "1"})
    refused(answer, "AccessDenied")


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=y",
        "AWS4-HMAC-SHA256 Credential=AK/20200101/us-east-1/s3/aws4_request, Signature=0",
        "AWS4-HMAC-SHA256 Credential=AK/2020/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 " + "x" * 5000,
        "AWS4-HMAC-SHA256 Credential=" + "/" * 300,
    ],
)
def test_authorization_that_is_malformed(raw: RawClient, bucket: str, value: str) -> None:
    headers = {**raw.signer.header("GET", raw.host, f"/{bucket}"), "Authorization": value}
    answer = raw.send("GET", f"/{bucket}", headers)
    assert answer.status in (400, 403), str(answer)
    assert answer.code, str(answer)


@pytest.mark.parametrize(
    "value", ["Basic dXNlcjpwYXNz", "Bearer token", "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "x", ""]
)
def test_other_schemes_are_refused(raw: RawClient, bucket: str, value: str) -> None:
    headers = {**raw.signer.header("GET", raw.host, f"/{bucket}"), "Authorization": value}
    answer = raw.send("GET", f"/{bucket}", headers)
    assert answer.status in (400, 403), str(answer)


def test_no_date_is_denied(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("GET", raw.host, f"/{bucket}")
    del headers["X-Amz-Date"]
    answer = raw.send("GET", f"/{bucket}", headers)
    assert answer.status == 403, str(answer)


def test_no_content_digest_is_refused(raw: RawClient, bucket: str) -> None:
    headers = raw.signer.header("GET", raw.host, f"/{bucket}")
    del headers["X-Amz-Content-Sha256"]
    answer = raw.send("GET", f"/{bucket}", headers)
    assert answer.status in (400, 403), str(answer)


def test_methods_that_do_not_exist(raw: RawClient, bucket: str) -> None:
    refused(raw.request("POST", bucket, "k"), "MethodNotAllowed", 405)
    for method in ("PATCH", "TRACE", "PROPFIND", "BREW"):
        answer = raw.request(method, bucket, "k")
        assert answer.status in (400, 405, 501), (method, str(answer))


@pytest.mark.parametrize("name", ["analytics", "inventory", "metrics", "torrent", "select"])
def test_subresources_that_are_not_built_do_not_pass_for_others(
    raw: RawClient, s3: Any, bucket: str, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    for method in ("PUT", "DELETE"):
        answer = raw.request(method, bucket, query={name: "", "id": "x"}, body=b"<x/>" if method == "PUT" else b"")
        if method == "DELETE" and answer.status == 204:
            continue  # nothing was there, nothing was removed
        assert 400 <= answer.status < 600, str(answer)
        assert answer.code in (
            "NotImplemented",
            "MethodNotAllowed",
            "MalformedXML",
            "InvalidRequest",
            "InvalidArgument",
        ), str(answer)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">'.encode() for i in range(9))
    + b"]><Delete><Object><Key>&j;</Key></Object></Delete>"
)
DOCUMENTS = {
    "bomb": BOMB,
    "external": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    "deep": b"<Delete>" + b"<a>" * 100_000,
    "broad": b"<Delete>" + b"<Object><Key>k</Key></Object>" * 50_000 + b"</Delete>",
    "binary": bytes(range(256)) * 16,
    "utf-16": "<Delete><Object><Key>k</Key></Object></Delete".encode("utf-16"),
    "nul": b"<Delete><Object><Key>a\x00b</Key></Object></Delete>",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_made_to_hurt(raw: RawClient, bucket: str, name: str) -> None:
    document = DOCUMENTS[name]
    started = time.process_time()
    answer = raw.request(
        "POST", bucket, query={"delete": ""}, headers={"Content-MD5": content_md5(document)}, body=document
    )
    assert answer.status == 400, str(answer)
    assert b"root:" not in answer.body
    assert time.process_time() >= started


def test_a_document_of_many_megabytes_is_refused(raw: RawClient, bucket: str) -> None:
    document = b"<Delete>" + b" " * (32 << 20) + b"</Delete>"
    answer = raw.request(
        "POST", bucket, query={"delete": ""}, headers={"Content-MD5": content_md5(document)}, body=document
    )
    assert answer.status in (400, 413), str(answer)


def test_more_headers_than_sense(raw: RawClient, bucket: str) -> None:
    def status(lines: str) -> bytes:
        return raw.exchange(f"GET /{bucket} HTTP/1.1\r\nHost: {raw.host}\r\n{lines}\r\n".encode(), timeout=5)[9:12]

    assert status("X-Long: " + "x" * 200_000 + "\r\n")[:1] == b"4"
    assert status("".join(f"X-{i}: 1\r\n" for i in range(20_000)))[:1] == b"4"
    assert status("X" * 100_000 + ": 1\r\n")[:1] == b"4"
    assert raw.exchange(f"GET /{'x' * 200_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), timeout=5)[9:10] == b"4"
    assert raw.request("GET", bucket).status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nabcde",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nabcde",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nabcde",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET /a\x01b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://other/../ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_http_that_is_none(raw: RawClient, request_bytes: bytes) -> None:
    received = raw.exchange(request_bytes, timeout=5, half_close=True)
    assert received == b"" or re.match(rb"HTTP/1\.[01] 4\d\d ", received), received[:200]
    # exactly one answer: what follows a malformed head is not read as a request
    assert received.count(b"HTTP/1.") <= 1


def test_a_request_hidden_in_a_body_is_not_answered(raw: RawClient, bucket: str) -> None:
    hidden = f"GET /{bucket}/hidden HTTP/1.1\r\nHost: {raw.host}\r\n\r\n".encode()
    data = (
        f"PUT /{bucket}/k HTTP/1.1\r\nHost: {raw.host}\r\nContent-Length: {len(hidden)}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ).encode() + hidden
    received = raw.exchange(data, timeout=5)
    assert received.count(b"HTTP/1.1 ") == 1
    assert received[9:10] == b"4"


def test_after_all_of_that_the_server_still_answers(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with fails("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none")
