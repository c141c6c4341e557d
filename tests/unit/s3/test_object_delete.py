"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.unit.s3.conftest import Answer, Client


def delete_many(client: Client, inner: str, **headers: str) -> Answer:
    body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</Delete>'.encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return client("POST", "/box", body, query={"delete": ""}, headers={"Content-MD5": md5, **headers})


def test_a_delete_is_idempotent(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"1")
    assert client("DELETE", "/box/a").status == 204
    assert client("DELETE", "/box/a").status == 204
    assert client("DELETE", "/nowhere/a").code == "NoSuchBucket"


def test_conditions(client: Client, bucket: str) -> None:
    put = client("PUT", "/box/a", b"123")
    modified = client("HEAD", "/box/a").headers["last-modified"]
    for wrong in (
        {"If-Match": '"x"'},
        {"x-amz-if-match-size": "4"},
        {"x-amz-if-match-last-modified-time": "Sat, 01 Jan 2000 00:00:00 GMT"},
    ):
        refused = client("DELETE", "/box/a", headers=wrong)
        assert (refused.status, refused.code) == (412, "PreconditionFailed")
    for bad in ({"x-amz-if-match-size": "x"}, {"x-amz-if-match-last-modified-time": "soon"}):
        assert client("DELETE", "/box/a", headers=bad).code == "InvalidArgument"
    right = {
        "If-Match": put.headers["etag"],
        "x-amz-if-match-size": "3",
        "x-amz-if-match-last-modified-time": modified,
    }
    assert client("DELETE", "/box/a", headers=right).status == 204
    assert client("DELETE", "/box/a", headers={"If-Match": "*"}).code == "NoSuchKey"


def test_many_keys_have_a_result_each(client: Client, bucket: str) -> None:
    for key in ("a", "b", "c&d"):
        client("PUT", f"/box/{key}", b"1")
    answer = delete_many(
        client,
        "<Object><Key>a</Key></Object><Object><Key>c&amp;d</Key></Object><Object><Key>missing</Key></Object>"
        '<Object><Key>b</Key><ETag>"x"</ETag></Object>'
        f"<Object><Key>{'k' * 1025}</Key></Object>",
    )
    assert answer.status == 200
    assert answer.texts("Deleted/Key") == ["a", "c&d", "missing"]
    assert answer.texts("Error/Key") == ["b", "k" * 1025]
    assert answer.texts("Error/Code") == ["PreconditionFailed", "KeyTooLongError"]
    assert client("GET", "/box", query={"list-type": "2"}).texts("Contents/Key") == ["b"]


def test_quiet_reports_errors_only(client: Client, bucket: str) -> None:
    client("PUT", "/box/b", b"1")
    answer = delete_many(
        client,
        "<Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>b</Key><Size>7</Size></Object>",
    )
    assert answer.texts("Deleted/Key") == []
    assert answer.texts("Error/Key") == ["b"]


def test_markers_and_versions(client: Client, node: Any, bucket: str) -> None:
    node.buckets.configure("box", "versioning", "Enabled")
    client("PUT", "/box/a", b"1")
    answer = delete_many(client, "<Object><Key>a</Key></Object>")
    marker = answer.text("Deleted/DeleteMarkerVersionId")
    assert answer.text("Deleted/DeleteMarker") == "true"
    again = delete_many(client, f"<Object><Key>a</Key><VersionId>{marker}</VersionId></Object>")
    assert again.text("Deleted/VersionId") == again.text("Deleted/DeleteMarkerVersionId") == marker
    assert client("GET", "/box/a").body == b"1"


def test_a_thousand_keys_and_no_more(client: Client, bucket: str) -> None:
    entry = "<Object><Key>k{}</Key></Object>"
    assert len(delete_many(client, "".join(entry.format(n) for n in range(1000))).texts("Deleted/Key")) == 1000
    assert delete_many(client, "".join(entry.format(n) for n in range(1001))).code == "MalformedXML"


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<Quiet>true</Quiet>",
        "<Object></Object>",
        "<Object><Key></Key></Object>",
        "<Other/>",
        "<Object><Key>a</Key>",
        "<Object><Key>\x01</Key></Object>",
    ],
)
def test_malformed_documents(client: Client, bucket: str, inner: str) -> None:
    answer = delete_many(client, inner)
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_an_xml_bomb_is_refused(client: Client, bucket: str) -> None:
    body = b'<!DOCTYPE a [<!ENTITY b "bb">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = client("POST", "/box", body, query={"delete": ""}, headers={"Content-MD5": md5})
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_a_digest_is_required_and_checked(client: Client, bucket: str) -> None:
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    assert client("POST", "/box", body, query={"delete": ""}).code == "InvalidRequest"
    assert delete_many(client, "<Object><Key>a</Key></Object>", **{"Content-MD5": "A" * 22 + "=="}).code == "BadDigest"
    wrong = client("POST", "/box", body, query={"delete": ""}, headers={"x-amz-checksum-crc32": "AAAAAA=="})
    assert wrong.code == "BadDigest"


def test_a_document_that_is_too_large(client: Client, bucket: str) -> None:
    answer = delete_many(client, "", **{"Content-Length": str(5 << 20)})
    assert (answer.status, answer.code) == (400, "MaxMessageLengthExceeded")


def test_a_missing_bucket(client: Client) -> None:
    assert delete_many(client, "<Object><Key>a</Key></Object>").code == "NoSuchBucket"
