"""DeleteObject and DeleteObjects."""

from __future__ import annotations

from typing import Any

from tests.harness.raw import RawClient
from tests.s3.expect import body, content_md5, fails, missing

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def test_delete_and_delete_again(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        answer = s3.delete_object(Bucket=bucket, Key="k")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert "DeleteMarker" not in answer
        assert missing(s3, bucket, "k")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_delete_leaves_what_lies_below_and_beside(s3: Any, bucket: str) -> None:
    for key in ("a", "a/", "a/b", "ab"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_object(Bucket=bucket, Key="a/")
    assert missing(s3, bucket, "a")
    assert missing(s3, bucket, "a/")
    assert body(s3, bucket, "a/b") == b"a/b"
    assert body(s3, bucket, "ab") == b"ab"


def test_delete_many(s3: Any, bucket: str) -> None:
    keys = [f"k{i}" for i in range(5)] + ["ü ö", "a&b<c>", "q'\"", " lead", "a/../b"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    asked = [*keys, "never-there"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in asked]})
    assert [d["Key"] for d in answer["Deleted"]] == asked
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_delete_many_quietly(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "no"}], "Quiet": True})
    assert "Deleted" not in answer
    assert "Errors" not in answer
    assert missing(s3, bucket, "k")


def test_a_thousand_and_no_more(s3: Any, bucket: str) -> None:
    objects = [{"Key": f"k{i}"} for i in range(1000)]
    s3.put_object(Bucket=bucket, Key="k999", Body=b"x")
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})["Deleted"]) == 1000
    assert missing(s3, bucket, "k999")
    with fails("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [*objects, {"Key": "k1000"}]})


def test_errors_are_per_key(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    objects = [{"Key": "k"}, {"Key": "x" * 1025}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [d["Key"] for d in answer["Deleted"]] == ["k"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [("x" * 1025, "KeyTooLongError")]


def test_documents_that_are_none(raw: RawClient, bucket: str) -> None:
    documents = [
        b"",
        b"not xml",
        f"<Delete {NAMESPACE}></Delete>".encode(),
        f"<Delete {NAMESPACE}><Object></Object></Delete>".encode(),
        b"<Remove><Object><Key>k</Key></Object></Remove>",
        b"<Delete><Object><Key>k</Key></Object>",
    ]
    for document in documents:
        headers = {"Content-MD5": content_md5(document)}
        answer = raw.request("POST", bucket, query={"delete": ""}, headers=headers, body=document)
        assert answer.status == 400, (document, str(answer))
        assert answer.code in ("MalformedXML", "MissingRequestBodyError"), document


def test_without_a_digest_it_is_refused(raw: RawClient, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    answer = raw.request("POST", bucket, query={"delete": ""}, body=document)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert not missing(s3, bucket, "k")


def test_a_wrong_digest_is_refused(raw: RawClient, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    answer = raw.request(
        "POST", bucket, query={"delete": ""}, headers={"Content-MD5": content_md5(b"other")}, body=document
    )
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert not missing(s3, bucket, "k")


def test_a_document_without_namespace(raw: RawClient, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k&k", Body=b"x")
    document = b"<?xml version='1.0'?>\n<Delete><Quiet>false</Quiet><Object><Key>k&amp;k</Key></Object></Delete>"
    answer = raw.request(
        "POST", bucket, query={"delete": ""}, headers={"Content-MD5": content_md5(document)}, body=document
    )
    assert answer.status == 200
    assert answer.xml().findtext("Deleted/Key") == "k&k"
    assert missing(s3, bucket, "k&k")
