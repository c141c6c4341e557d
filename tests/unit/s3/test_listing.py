"""ListObjects and ListObjectsV2, against a model of what S3 says they are."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from tests.unit.s3.conftest import Answer, Client

KEYS = ["a", "b/", "b/1", "b/2", "b/c/3", "c", "d--e", "d--f", "é", "☃", "\U0001f600"]


@pytest.fixture
def filled(client: Client, bucket: str) -> None:
    from urllib.parse import quote

    for key in KEYS:
        client("PUT", f"/box/{quote(key)}", b"1")


def rolled_up(keys: list[str], prefix: str, delimiter: str) -> list[str]:
    """Keys and common prefixes as one list in order: the model."""
    found: list[str] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if cut < 0 else key[: cut + len(delimiter)]
        if entry not in found:
            found.append(entry)
    return found


def entries(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    keys, prefixes = answer.texts("Contents/Key"), answer.texts("CommonPrefixes/Prefix")
    return sorted(keys + prefixes, key=str.encode)


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("prefix", "delimiter"),
    [("", ""), ("", "/"), ("b/", "/"), ("b", "/"), ("", "--"), ("d", "-"), ("x", "/"), ("b/", "")],
)
@pytest.mark.parametrize("version", ["1", "2"])
def test_pages_join_to_the_whole(
    client: Client, filled: None, version: str, prefix: str, delimiter: str, limit: int
) -> None:
    found: list[str] = []
    query = {"prefix": prefix, "delimiter": delimiter, "max-keys": str(limit)}
    if version == "2":
        query["list-type"] = "2"
    while True:
        page = client("GET", "/box", query=query)
        here = entries(page)
        assert len(here) <= limit
        found += here
        if page.text("IsTruncated") == "false":
            break
        if version == "2":
            query["continuation-token"] = page.text("NextContinuationToken") or ""
        else:
            query["marker"] = page.text("NextMarker") if delimiter else here[-1]  # type: ignore[assignment]
    assert found == rolled_up(KEYS, prefix, delimiter)


def test_the_elements_of_v2(client: Client, filled: None) -> None:
    answer = client("GET", "/box", query={"list-type": "2", "prefix": "a", "fetch-owner": "true", "start-after": "A"})
    assert answer.xml.tag == "ListBucketResult"
    assert (answer.text("Name"), answer.text("Prefix"), answer.text("KeyCount")) == ("box", "a", "1")
    assert (answer.text("MaxKeys"), answer.text("StartAfter")) == ("1000", "A")
    assert answer.text("Contents/ETag") == '"c4ca4238a0b923820dcc509a6f75849b"'
    assert (answer.text("Contents/Size"), answer.text("Contents/StorageClass")) == ("1", "STANDARD")
    assert answer.text("Contents/Owner/DisplayName")
    assert len(answer.text("Contents/Owner/ID") or "") == 64
    assert answer.xml.find("Delimiter") is None
    assert answer.xml.find("Marker") is None


def test_the_elements_of_v1(client: Client, filled: None) -> None:
    answer = client("GET", "/box", query={"max-keys": "1"})
    assert (answer.text("Marker"), answer.text("IsTruncated")) == ("", "true")
    assert answer.xml.find("NextMarker") is None
    assert answer.text("Contents/Owner/ID")
    assert answer.xml.find("KeyCount") is None
    with_delimiter = client("GET", "/box", query={"max-keys": "2", "delimiter": "/"})
    assert with_delimiter.text("NextMarker") == "b/"


def test_no_owner_in_v2_unless_asked(client: Client, filled: None) -> None:
    assert client("GET", "/box", query={"list-type": "2"}).xml.find("Contents/Owner") is None


def test_the_common_prefix_that_holds_the_marker_is_behind_it(client: Client, filled: None) -> None:
    inside = client("GET", "/box", query={"marker": "b/1", "delimiter": "/"})
    assert inside.texts("CommonPrefixes/Prefix") == []
    behind = client("GET", "/box", query={"marker": "b/", "delimiter": "/"})
    assert behind.texts("CommonPrefixes/Prefix") == []


def test_names_are_percent_encoded_when_asked(client: Client, bucket: str) -> None:
    for path in ("/box/foo%2B1/bar", "/box/foo/bar/xyz", "/box/quux%20ab/thud", "/box/asdf%2Bb", "/box/%01"):
        client("PUT", path, b"1")
    query = {"list-type": "2", "delimiter": "/", "encoding-type": "url", "start-after": "\x00+"}
    answer = client("GET", "/box", query=query)
    assert answer.text("EncodingType") == "url"
    assert answer.text("StartAfter") == "%00%2B"
    assert answer.texts("Contents/Key") == ["%01", "asdf%2Bb"]
    assert answer.texts("CommonPrefixes/Prefix") == ["foo%2B1/", "foo/", "quux%20ab/"]
    first = client("GET", "/box", query={"delimiter": "/", "encoding-type": "url", "max-keys": "3"})
    assert unquote(first.text("NextMarker") or "") == "foo+1/"


@pytest.mark.parametrize("list_type", [{}, {"list-type": "2"}])
def test_no_keys_at_all(client: Client, filled: None, list_type: dict[str, str]) -> None:
    answer = client("GET", "/box", query={"max-keys": "0", **list_type})
    assert (entries(answer), answer.text("IsTruncated"), answer.text("MaxKeys")) == ([], "false", "0")
    assert client("GET", "/nowhere", query={"max-keys": "0", **list_type}).code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max-keys", "-1"),
        ("max-keys", "x"),
        ("max-keys", "2147483648"),
        ("max-keys", "99999999999999999999"),
        ("encoding-type", "base64"),
        ("continuation-token", "nonsense"),
        ("continuation-token", "AAAAAAAA"),
        ("continuation-token", "ü"),
    ],
)
def test_bad_parameters(client: Client, bucket: str, name: str, value: str) -> None:
    answer = client("GET", "/box", query={"list-type": "2", name: value})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert (answer.text("ArgumentName"), answer.text("ArgumentValue")) == (name, value)


def test_a_page_has_at_most_a_thousand_entries(client: Client, bucket: str) -> None:
    assert client("GET", "/box", query={"max-keys": "5000"}).text("MaxKeys") == "1000"


def test_empty_parameters_mean_nothing(client: Client, filled: None) -> None:
    answer = client("GET", "/box", query="list-type=2&continuation-token=&max-keys=&delimiter=&encoding-type=&prefix=")
    assert (len(entries(answer)), answer.text("ContinuationToken")) == (len(KEYS), "")


def test_a_token_outweighs_start_after(client: Client, filled: None) -> None:
    first = client("GET", "/box", query={"list-type": "2", "max-keys": "1", "start-after": "b"})
    token = first.text("NextContinuationToken") or ""
    second = client("GET", "/box", query={"list-type": "2", "start-after": "zzz", "continuation-token": token})
    assert entries(second)[0] == "b/1"
    assert second.text("ContinuationToken") == token


def test_a_missing_bucket(client: Client) -> None:
    assert client("GET", "/nowhere").code == "NoSuchBucket"
    assert client("GET", "/nowhere", query={"list-type": "2"}).code == "NoSuchBucket"
    assert client("GET", "/Bad_Name").code == "InvalidBucketName"


def test_checksums_are_listed_by_algorithm(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"hello", headers={"x-amz-checksum-crc32": "NhCmhg=="})
    answer = client("GET", "/box", query={"list-type": "2"})
    assert answer.text("Contents/ChecksumAlgorithm") == "CRC32"
    assert answer.text("Contents/ChecksumType") == "FULL_OBJECT"


def test_versions(client: Client, node: Any, bucket: str) -> None:
    client("PUT", "/box/a", b"0")
    node.buckets.configure("box", "versioning", "Enabled")
    first = client("PUT", "/box/a", b"1").headers["x-amz-version-id"]
    second = client("PUT", "/box/b/c", b"2").headers["x-amz-version-id"]
    marker = client("DELETE", "/box/a").headers["x-amz-version-id"]
    answer = client("GET", "/box", query={"versions": ""})
    assert answer.texts("Version/VersionId") == [first, "null", second]
    assert answer.texts("DeleteMarker/VersionId") == [marker]
    assert answer.texts("DeleteMarker/IsLatest") == ["true"]
    assert answer.texts("Version/IsLatest") == ["false", "false", "true"]
    rolled = client("GET", "/box", query={"versions": "", "delimiter": "/"})
    assert rolled.texts("CommonPrefixes/Prefix") == ["b/"]
    seen: list[str] = []
    query = {"versions": "", "max-keys": "1"}
    while True:
        page = client("GET", "/box", query=query)
        seen += page.texts("Version/VersionId") + page.texts("DeleteMarker/VersionId")
        if page.text("IsTruncated") == "false":
            break
        query["key-marker"] = page.text("NextKeyMarker") or ""
        query["version-id-marker"] = page.text("NextVersionIdMarker") or ""
    assert seen == [marker, first, "null", second]
    assert client("GET", "/box", query={"versions": "", "version-id-marker": "x"}).code == "InvalidArgument"
    assert client("GET", "/nowhere", query={"versions": "", "max-keys": "0"}).code == "NoSuchBucket"
