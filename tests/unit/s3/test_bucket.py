"""Buckets: names, regions, creation, deletion, the list of them."""

from __future__ import annotations

import pytest

from ironbucket.errors import IllegalLocationConstraintException, InvalidLocationConstraint, MalformedXML
from ironbucket.s3.bucket import check_location, is_valid_name
from tests.unit.s3.conftest import Client, client_of
from tests.unit.s3.fake_node import FakeNode


@pytest.mark.parametrize(
    "name", ["abc", "a-b", "a.b.c", "123", "a" * 63, "1.2.3.a", "0a0", "a--b", "my.bucket-1", "xn-a"]
)
def test_good_names(name: str) -> None:
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "a",
            "ab",
            "a" * 64,
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "192.168.5.4",
            "a b",
            "ä12",
            "a\n12",
        ),
        *("xn--abc", "sthree-abc", "amzn-s3-demo-a", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3"),
        *("abc--table-s3", "abc\n", "-", "a!b", "a/b", "..."),
    ],
)
def test_bad_names(name: str) -> None:
    assert not is_valid_name(name)


def test_creating_twice_is_creating_once(client: Client) -> None:
    for _ in range(2):
        answer = client("PUT", "/box")
        assert (answer.status, answer.headers["location"], answer.body) == (200, "/box", b"")
    assert client("PUT", "/Box").code == "InvalidBucketName"
    assert client("PUT", "/box/").status == 200


@pytest.mark.parametrize(
    ("constraint", "region", "error"),
    [
        ("", "us-east-1", InvalidLocationConstraint),
        ("us-east-1", "us-east-1", None),
        ("eu-west-1", "us-east-1", IllegalLocationConstraintException),
        ("home", "home", None),
        ("EU", "eu-west-1", None),
        ("EU", "us-east-1", InvalidLocationConstraint),
        ("nowhere", "home", InvalidLocationConstraint),
        (None, "home", None),
    ],
)
def test_location_constraints(constraint: str | None, region: str, error: type[Exception] | None) -> None:
    inner = "" if constraint is None else f"<LocationConstraint>{constraint}</LocationConstraint>"
    document = f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode()
    if error is None:
        check_location(document, region)
    else:
        with pytest.raises(error):
            check_location(document, region)


def test_a_creation_with_a_bad_document(client: Client) -> None:
    assert client("PUT", "/box", b"<Other/>").code == MalformedXML.__name__
    assert client("PUT", "/box", b"not xml").code == "MalformedXML"
    assert client("PUT", "/box", b"x", headers={"Content-Length": "99999999"}).code == "MaxMessageLengthExceeded"
    assert client("PUT", "/box", headers={"x-amz-acl": "aws-exec-read"}).code == "NotImplemented"
    enforced = {"x-amz-acl": "public-read", "x-amz-object-ownership": "BucketOwnerEnforced"}
    assert client("PUT", "/box", headers=enforced).code == "InvalidBucketAclWithObjectOwnership"
    assert client("PUT", "/box", headers={"x-amz-object-ownership": "Nobody"}).code == "InvalidArgument"
    assert client("HEAD", "/box").status == 404


def test_object_lock_is_noted(client: Client) -> None:
    assert client("PUT", "/box", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
    assert client("GET", "/box", query={"object-lock": ""}).text("ObjectLockEnabled") == "Enabled"
    assert client("GET", "/box", query={"versioning": ""}).text("Status") == "Enabled"
    assert client("PUT", "/bix", headers={"x-amz-bucket-object-lock-enabled": "maybe"}).code == "InvalidArgument"


def test_head(client: Client, bucket: str) -> None:
    answer = client("HEAD", "/box")
    assert (answer.status, answer.headers["x-amz-bucket-region"]) == (200, "us-east-1")
    assert client("HEAD", "/nowhere").status == 404


def test_location() -> None:
    for region, text in (("us-east-1", ""), ("home", "home")):
        node = FakeNode(region=region)
        node.buckets.create("box", "owner")
        client = client_of(node)
        answer = client("GET", "/box", query={"location": ""})
        assert (answer.xml.tag, answer.xml.text or "") == ("LocationConstraint", text)
        assert client("GET", "/nowhere", query={"location": ""}).code == "NoSuchBucket"


def test_delete(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"1")
    refused = client("DELETE", "/box")
    assert (refused.status, refused.code) == (409, "BucketNotEmpty")
    client("DELETE", "/box/a")
    assert client("DELETE", "/box").status == 204
    assert client("DELETE", "/box").code == "NoSuchBucket"


def test_the_list_of_buckets(client: Client) -> None:
    for name in ("box-b", "box-a", "other", "box-c"):
        client("PUT", f"/{name}")
    whole = client("GET", "/")
    assert whole.texts("Buckets/Bucket/Name") == ["box-a", "box-b", "box-c", "other"]
    assert len(whole.text("Owner/ID") or "") == 64
    assert (whole.text("Buckets/Bucket/CreationDate") or "").endswith("Z")
    first = client("GET", "/", query={"prefix": "box", "max-buckets": "2"})
    assert first.texts("Buckets/Bucket/Name") == ["box-a", "box-b"]
    assert first.text("Prefix") == "box"
    token = first.text("ContinuationToken") or ""
    rest = client("GET", "/", query={"prefix": "box", "max-buckets": "2", "continuation-token": token})
    assert rest.texts("Buckets/Bucket/Name") == ["box-c"]
    assert rest.xml.find("ContinuationToken") is None
    assert client("GET", "/", query={"bucket-region": "us-east-1"}).text("Buckets/Bucket/BucketRegion") == "us-east-1"
    assert client("GET", "/", query={"bucket-region": "elsewhere"}).texts("Buckets/Bucket") == []
    for bad in ({"max-buckets": "0"}, {"max-buckets": "10001"}, {"continuation-token": "x"}):
        assert client("GET", "/", query=bad).code == "InvalidArgument"


def test_virtual_host_style() -> None:
    node = FakeNode(domain="s3.lan")
    client = client_of(node)
    assert client("PUT", "/", host="box.s3.lan:9000").status == 200
    assert client("PUT", "/a/b", b"1", host="box.s3.lan:9000").status == 200
    assert client("GET", "/a/b", host="box.s3.lan:9000").body == b"1"
    assert client("GET", "/box/a/b", host="s3.lan:9000").body == b"1"
    assert client("GET", "/", host="box.s3.lan").texts("Contents/Key") == ["a/b"]
