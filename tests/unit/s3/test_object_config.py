"""Tags and attributes of objects."""

from __future__ import annotations

import pytest

from tests.unit.s3.conftest import Client


@pytest.fixture
def key(client: Client, bucket: str) -> str:
    client("PUT", "/box/a", b"hello", headers={"x-amz-checksum-crc32": "NhCmhg=="})
    return "/box/a"


def tagging(*pairs: tuple[str, str]) -> bytes:
    inner = "".join(f"<Tag><Key>{name}</Key><Value>{value}</Value></Tag>" for name, value in pairs)
    return f"<Tagging><TagSet>{inner}</TagSet></Tagging>".encode()


def test_tags(client: Client, key: str) -> None:
    assert client("GET", key, query={"tagging": ""}).texts("TagSet/Tag") == []
    assert client("PUT", key, tagging(("b", "2"), ("a", "ü 1")), query={"tagging": ""}).status == 200
    answer = client("GET", key, query={"tagging": ""})
    assert sorted(zip(answer.texts("TagSet/Tag/Key"), answer.texts("TagSet/Tag/Value"), strict=True)) == [
        ("a", "ü 1"),
        ("b", "2"),
    ]
    assert client("HEAD", key).headers["x-amz-tagging-count"] == "2"
    assert client("GET", key).body == b"hello"
    assert client("DELETE", key, query={"tagging": ""}).status == 204
    assert "x-amz-tagging-count" not in client("HEAD", key).headers
    assert client("PUT", key, tagging(), query={"tagging": ""}).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (tagging(*((f"k{n}", "v") for n in range(11))), "InvalidTag"),
        (tagging(("a", "1"), ("a", "2")), "InvalidTag"),
        (tagging(("", "1")), "InvalidTag"),
        (tagging(("k" * 129, "1")), "InvalidTag"),
        (tagging(("k", "v" * 257)), "InvalidTag"),
        (tagging(("aws:k", "v")), "InvalidTag"),
        (b"<Tagging/>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Other/></TagSet></Tagging>", "MalformedXML"),
        (b"<Tags/>", "MalformedXML"),
        (b"", "MalformedXML"),
    ],
)
def test_bad_tags_change_nothing(client: Client, key: str, body: bytes, code: str) -> None:
    client("PUT", key, tagging(("kept", "1")), query={"tagging": ""})
    answer = client("PUT", key, body, query={"tagging": ""})
    assert (answer.status, answer.code) == (400, code)
    assert client("GET", key, query={"tagging": ""}).texts("TagSet/Tag/Key") == ["kept"]


def test_tags_of_nothing(client: Client, bucket: str) -> None:
    assert client("GET", "/box/a", query={"tagging": ""}).code == "NoSuchKey"
    assert client("PUT", "/box/a", tagging(("a", "1")), query={"tagging": ""}).code == "NoSuchKey"
    assert client("DELETE", "/box/a", query={"tagging": ""}).code == "NoSuchKey"


def test_attributes(client: Client, key: str) -> None:
    wanted = {"x-amz-object-attributes": "ETag, Checksum,ObjectParts,StorageClass,ObjectSize"}
    answer = client("GET", key, query={"attributes": ""}, headers=wanted)
    assert answer.text("ETag") == "5d41402abc4b2a76b9719d911017c592"
    assert (answer.text("ObjectSize"), answer.text("StorageClass")) == ("5", "STANDARD")
    assert answer.text("Checksum/ChecksumCRC32") == "NhCmhg=="
    assert answer.text("Checksum/ChecksumType") == "FULL_OBJECT"
    assert answer.xml.find("ObjectParts") is None
    assert "last-modified" in answer.headers
    only = client("GET", key, query={"attributes": ""}, headers={"x-amz-object-attributes": "ObjectSize"})
    assert [element.tag for element in only.xml] == ["ObjectSize"]
    for bad in ({}, {"x-amz-object-attributes": "Color"}, {"x-amz-object-attributes": ""}):
        assert client("GET", key, query={"attributes": ""}, headers=bad).code == "InvalidArgument"
    assert client("GET", "/box/b", query={"attributes": ""}, headers=wanted).code == "NoSuchKey"


def test_what_is_not_built(client: Client, key: str) -> None:
    assert client("GET", key, query={"torrent": ""}).code == "NotImplemented"
    assert client("POST", key, b"<Any/>", query={"restore": ""}).code == "NotImplemented"
