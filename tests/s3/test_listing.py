"""ListObjects and ListObjectsV2, every page against a model of the listing."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import unquote

import pytest

from tests.harness.raw import RawClient
from tests.s3 import listing_model as model
from tests.s3.conftest import new_name
from tests.s3.expect import etag, fails

#: borders of every kind: keys that are prefixes of keys, delimiters in a row, first and last code points,
#: characters whose order differs between UTF-8 and UTF-16, keys that need escaping in XML
KEYS = [
    "a", "a/", "a//", "a//b", "a/a", "a/b", "a/b/", "a/b/c", "a/b/d", "a0", "a-", "a.", "aa", "ab/c", "b", "b/1",
    "b/2/3", "c", "c//", "c//d", "c//e", "d<e>&", "d<e>&/f", "d\"'", "d+e f", "d%41", "d%2F", "e::f::g", "e::f::h",
    "e::i", "photos/2006/January/1", "photos/2006/January/2", "photos/2006/February/1", "photos/2007", "..",
    "../x", "./y",
    "/", "//", "/lead", "ä", "ä/ö", "日本", "日本/語", "\ufffd/x", "\U0001f600", "\U0001f600/x", "~", "\x7f",
]  # fmt: skip


@pytest.fixture(scope="module")
def listed(s3: Any) -> str:
    """A bucket with all of KEYS."""
    name = new_name("listing")
    s3.create_bucket(Bucket=name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def names(page: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (
        tuple(entry["Key"] for entry in page.get("Contents", ())),
        tuple(entry["Prefix"] for entry in page.get("CommonPrefixes", ())),
    )


def given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value not in (None, "")}


PREFIXES = ["", "a", "a/", "a/b", "b/", "c//", "photos/2006/", "d", "ä", "日本", "nothing", "/", "zzz"]
DELIMITERS = ["", "/", "//", "::", "b", "ö", "/2"]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_all_at_once(s3: Any, listed: str, prefix: str, delimiter: str) -> None:
    expected = model.page(KEYS, prefix, delimiter)
    for call in (s3.list_objects, s3.list_objects_v2):
        page = call(Bucket=listed, **given(Prefix=prefix, Delimiter=delimiter))
        assert names(page) == (expected.keys, expected.prefixes)
        assert page["IsTruncated"] is False
        assert page["MaxKeys"] == 1000
        # botocore decodes the Prefix of version 2 only
        assert (unquote(page["Prefix"]) if call == s3.list_objects else page["Prefix"]) == prefix
        assert page.get("Delimiter", "") == delimiter


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("prefix", "delimiter"), [("", ""), ("", "/"), ("a", "/"), ("", "//"), ("photos/", "/"), ("", "::")]
)
def test_every_page_of_version_2(s3: Any, listed: str, prefix: str, delimiter: str, limit: int) -> None:
    after, token = "", None
    for _ in range(len(KEYS) + 1):
        page = s3.list_objects_v2(
            Bucket=listed, MaxKeys=limit, **given(Prefix=prefix, Delimiter=delimiter, ContinuationToken=token)
        )
        expected = model.page(KEYS, prefix, delimiter, after, limit)
        assert names(page) == (expected.keys, expected.prefixes)
        assert page["KeyCount"] == len(expected.keys) + len(expected.prefixes)
        assert page["IsTruncated"] is expected.truncated
        assert page.get("ContinuationToken") == token
        after, token = expected.last, page.get("NextContinuationToken")
        assert bool(token) is expected.truncated
        if not token:
            return
    raise AssertionError("the listing does not end")


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize(("prefix", "delimiter"), [("", ""), ("", "/"), ("a", "/"), ("", "//")])
def test_every_page_of_version_1(s3: Any, listed: str, prefix: str, delimiter: str, limit: int) -> None:
    marker = ""
    for _ in range(len(KEYS) + 1):
        page = s3.list_objects(Bucket=listed, MaxKeys=limit, **given(Prefix=prefix, Delimiter=delimiter, Marker=marker))
        expected = model.page(KEYS, prefix, delimiter, marker, limit)
        assert names(page) == (expected.keys, expected.prefixes)
        assert page["IsTruncated"] is expected.truncated
        assert page.get("Marker", "") == marker
        # NextMarker comes with a delimiter only; without one the last key is the marker
        assert page.get("NextMarker") == (expected.last if expected.truncated and delimiter else None)
        if not expected.truncated:
            return
        marker = expected.last
    raise AssertionError("the listing does not end")


BORDERS = sorted(
    {border for key in KEYS for border in (key, key + "\x01", key[:-1])} | {"0", "\U0010ffff", "b/2", "b/2/", "b/2/z"}
)


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_starting_after_every_border(s3: Any, listed: str, delimiter: str) -> None:
    for border in BORDERS:
        expected = model.page(KEYS, "", delimiter, border, 3)
        page = s3.list_objects_v2(Bucket=listed, MaxKeys=3, **given(Delimiter=delimiter, StartAfter=border))
        assert names(page) == (expected.keys, expected.prefixes), border
        assert page["IsTruncated"] is expected.truncated, border
        page = s3.list_objects(Bucket=listed, MaxKeys=3, **given(Delimiter=delimiter, Marker=border))
        assert names(page) == (expected.keys, expected.prefixes), border


def test_start_after_and_prefix_together(s3: Any, listed: str) -> None:
    for prefix, after in itertools.product(["a/", "b/", "photos/"], ["a", "a/b", "b/1", "zz", "0"]):
        expected = model.page(KEYS, prefix, "/", after)
        page = s3.list_objects_v2(Bucket=listed, Prefix=prefix, Delimiter="/", StartAfter=after)
        assert names(page) == (expected.keys, expected.prefixes), (prefix, after)


def test_a_token_outweighs_start_after(s3: Any, listed: str) -> None:
    first = s3.list_objects_v2(Bucket=listed, MaxKeys=2, StartAfter="b")
    second = s3.list_objects_v2(
        Bucket=listed, MaxKeys=2, StartAfter="b", ContinuationToken=first["NextContinuationToken"]
    )
    expected = model.page(KEYS, after=first["Contents"][-1]["Key"], limit=2)
    assert names(second)[0] == expected.keys
    assert second["StartAfter"] == "b"


def test_max_keys_zero_shows_nothing_and_is_complete(s3: Any, listed: str) -> None:
    for call in (s3.list_objects, s3.list_objects_v2):
        page = call(Bucket=listed, MaxKeys=0)
        assert names(page) == ((), ())
        assert page["IsTruncated"] is False
        assert page["MaxKeys"] == 0


def test_max_keys_over_1000_counts_as_1000(s3: Any, listed: str) -> None:
    for call in (s3.list_objects, s3.list_objects_v2):
        assert call(Bucket=listed, MaxKeys=5000)["MaxKeys"] == 1000


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "99999999999999999999"])
def test_max_keys_that_is_no_number_of_keys(raw: RawClient, listed: str, value: str) -> None:
    for query in ({"max-keys": value}, {"list-type": "2", "max-keys": value}):
        answer = raw.request("GET", listed, query=query)
        assert (answer.status, answer.code) == (400, "InvalidArgument"), str(answer)


@pytest.mark.parametrize("token", ["not-a-token", "////", "AAAA"])
def test_tokens_that_were_not_given_out(raw: RawClient, listed: str, token: str) -> None:
    answer = raw.request("GET", listed, query={"list-type": "2", "continuation-token": token})
    assert (answer.status, answer.code) == (400, "InvalidArgument"), str(answer)


def test_an_encoding_type_that_is_none(raw: RawClient, listed: str) -> None:
    answer = raw.request("GET", listed, query={"list-type": "2", "encoding-type": "base64"})
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_url_encoding_covers_every_name(raw: RawClient, listed: str) -> None:
    query = {"list-type": "2", "encoding-type": "url", "prefix": "d<e>&", "delimiter": "/", "start-after": "d+"}
    page = raw.request("GET", listed, query=query).xml()
    assert page.findtext("EncodingType") == "url"
    assert page.findtext("Prefix") == "d%3Ce%3E%26"
    assert page.findtext("StartAfter") == "d%2B"
    assert page.findtext("Contents/Key") == "d%3Ce%3E%26"
    assert page.findtext("CommonPrefixes/Prefix") == "d%3Ce%3E%26/"


def test_without_url_encoding_names_are_xml(raw: RawClient, listed: str) -> None:
    page = raw.request("GET", listed, query={"list-type": "2", "prefix": "d", "max-keys": "4"}).xml()
    assert page.findtext("EncodingType") is None
    assert [e.findtext("Key") for e in page.findall("Contents")] == sorted(k for k in KEYS if k[0] == "d")[:4]


def test_control_characters_with_url_encoding(s3: Any, bucket: str) -> None:
    keys = ["c\x01", "c\n", "c\r", "c\t", "c\x1f", "c\x7f", "c\u0085"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert names(s3.list_objects_v2(Bucket=bucket))[0] == model.page(keys).keys


def test_what_is_said_of_each_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    entry = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (entry["Size"], entry["ETag"], entry["StorageClass"]) == (5, etag(b"12345"), "STANDARD")
    assert "Owner" not in entry
    assert "Owner" in s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]
    assert "Owner" in s3.list_objects(Bucket=bucket)["Contents"][0]


def test_an_empty_bucket(s3: Any, bucket: str) -> None:
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)
    assert names(page) == ((), ())
    assert page["Name"] == bucket


def test_exactly_1000_and_1001_keys(s3: Any, bucket: str) -> None:
    for i in range(1000):
        s3.put_object(Bucket=bucket, Key=f"k{i:04}", Body=b"")
    assert s3.list_objects_v2(Bucket=bucket)["IsTruncated"] is False
    s3.put_object(Bucket=bucket, Key="k1000", Body=b"")
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"]) == (1000, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert names(rest)[0] == ("k1000",)


def test_keys_that_come_and_go_between_pages(s3: Any, bucket: str) -> None:
    for i in range(6):
        s3.put_object(Bucket=bucket, Key=f"k{i}", Body=b"")
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=3)
    s3.delete_object(Bucket=bucket, Key="k2")  # the last one shown
    s3.delete_object(Bucket=bucket, Key="k3")  # the next one
    s3.put_object(Bucket=bucket, Key="k25", Body=b"")
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert names(rest)[0] == ("k25", "k4", "k5")


def test_versions_of_a_bucket_without_versioning(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    page = s3.list_object_versions(Bucket=bucket)
    assert [(v["Key"], v["VersionId"], v["IsLatest"]) for v in page["Versions"]] == [("k", "null", True)]
    assert "DeleteMarkers" not in page


def test_a_prefix_that_is_too_long_for_any_key(s3: Any, listed: str) -> None:
    assert s3.list_objects_v2(Bucket=listed, Prefix="x" * 1024)["KeyCount"] == 0
    with fails("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=listed, EncodingType="nonsense")
