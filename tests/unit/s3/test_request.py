"""Bucket, key and query come from the target as it was sent, for every key that exists."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.errors import InvalidURI, KeyTooLongError
from ironbucket.s3.request import Request, bucket_of_host
from tests.unit.s3.support import environ, request

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=256)


@given(KEYS, st.sampled_from(["", "/", "/~", "/!$&'()*+,:;=@"]))
def test_any_key_arrives_as_it_is(key: str, safe: str) -> None:
    parsed = request("GET", f"/bucket/{quote(key, safe=safe)}")
    assert (parsed.bucket, parsed.key) == ("bucket", key)


@pytest.mark.parametrize(
    ("target", "bucket", "key"),
    [
        ("/", "", ""),
        ("/?list-type=2", "", ""),
        ("/bucket", "bucket", ""),
        ("/bucket/", "bucket", ""),
        ("/bucket//", "bucket", "/"),
        ("/bucket//a", "bucket", "/a"),
        ("/bucket/a/", "bucket", "a/"),
        ("/bucket/../x", "bucket", "../x"),
        ("/bucket/./x//y", "bucket", "./x//y"),
        ("/bucket/a%2Fb", "bucket", "a/b"),
        ("/bucket/a%252Fb", "bucket", "a%2Fb"),
        ("/bucket/a+b%20c", "bucket", "a+b c"),
        ("/bucket/%00", "bucket", "\0"),
        ("/bucket/a?b?c", "bucket", "a"),
        ("/b%2Fk", "b/k", ""),
        ("/bucket/\xc3\xa4", "bucket", "ä"),
        ("http://example.com/bucket/key?x", "bucket", "key"),
        ("HTTPS://example.com?x=/y", "", ""),
        ("http://example.com", "", ""),
    ],
)
def test_targets(target: str, bucket: str, key: str) -> None:
    parsed = request("GET", target)
    assert (parsed.bucket, parsed.key) == (bucket, key)


@pytest.mark.parametrize(
    "target",
    [
        *(
            "*",
            "",
            "bucket/key",
            "//key",
            "ftp://x/y",
            "/%",
            "/bucket/%",
            "/bucket/%4",
            "/bucket/%zz",
            "/b/%+1",
            "/b/%u0041",
        ),
        *("/bucket/%ff", "/bucket/%C3", "/b/\xff", "/b/%ED%A0%80"),
        *("/b?a=%", "/b?%=a", "/b?a=%ff"),
    ],
)
def test_what_is_no_uri(target: str) -> None:
    with pytest.raises(InvalidURI):
        request("GET", target)


@pytest.mark.parametrize("key", ["a" * 1024, "ä" * 512, "\U0001f600" * 256])
def test_a_key_may_have_1024_bytes(key: str) -> None:
    assert request("GET", "/b/" + quote(key)).key == key
    with pytest.raises(KeyTooLongError) as caught:
        request("GET", "/b/" + quote(key + "x"))
    assert caught.value.details == {"Size": "1025", "MaxSizeAllowed": "1024"}


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        ("", {}),
        ("&&", {}),
        ("acl", {"acl": ""}),
        ("acl=", {"acl": ""}),
        ("a=1&a=2", {"a": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("a+b=c+d%2B", {"a b": "c d+"}),
        ("prefix=%2F%C3%A4", {"prefix": "/ä"}),
        ("=x", {"": "x"}),
        ("a=?", {"a": "?"}),
    ],
)
def test_queries(raw: str, query: dict[str, str]) -> None:
    parsed = request("GET", "/b?" + raw)
    assert parsed.query == query
    assert parsed.raw_query == raw


@given(st.dictionaries(KEYS.filter(bool), KEYS, max_size=4), st.sampled_from([quote, quote_plus]))
def test_any_query_arrives_as_it_is(query: dict[str, str], encode: object) -> None:
    raw = "&".join(f"{encode(name, safe='')}={encode(value, safe='')}" for name, value in query.items())  # type: ignore[operator]
    assert request("GET", "/b?" + raw).query == query


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("s3.example.com", ""),
        ("S3.Example.COM:9000", ""),
        ("media.s3.example.com", "media"),
        ("Media.s3.example.com:9000", "media"),
        ("a.b.s3.example.com", "a.b"),
        ("media.example.com", "media"),
        ("s3.example.com.evil.com", ""),
        ("xs3.example.com", "xs3"),
        ("127.0.0.1:9000", ""),
        ("[::1]:9000", ""),
        ("[::1]", ""),
        ("", ""),
    ],
)
def test_virtual_hosts(host: str, bucket: str) -> None:
    assert bucket_of_host(host, ["example.com", "s3.example.com"]) == bucket


def test_a_virtual_host_leaves_the_whole_path_to_the_key() -> None:
    made = environ("GET", "/a//b?x=1", {"Host": "media.s3.example.com"})
    parsed = Request.parse(made, ["s3.example.com"])
    assert (parsed.bucket, parsed.key, parsed.query) == ("media", "a//b", {"x": "1"})
    assert Request.parse(made).bucket == "a"


def test_the_authority_of_the_target_goes_before_the_host_header() -> None:
    made = environ("GET", "http://media.s3.example.com/key", {"Host": "other"})
    parsed = Request.parse(made, ["s3.example.com"])
    assert (parsed.bucket, parsed.key, parsed.host) == ("media", "key", "media.s3.example.com")


def test_headers_by_lower_case_name_with_repeated_ones_joined() -> None:
    parsed = request("GET", "/", [("X-Amz-Meta-A", "1"), ("Host", "h"), ("x-amz-meta-a", "\xe4")])
    assert parsed.headers == {"x-amz-meta-a": "1,\xe4", "host": "h"}
    assert parsed.host == "h"
    assert parsed.request_id == "0123456789ABCDEF"


def test_headers_of_another_wsgi_server() -> None:
    parsed = Request.parse(
        {
            "REQUEST_METHOD": "PUT",
            "REQUEST_URI": "/b/k",
            "HTTP_HOST": "h",
            "HTTP_X_AMZ_DATE": "d",
            "CONTENT_TYPE": "",
            "CONTENT_LENGTH": "5",
        }
    )
    assert parsed.headers == {"host": "h", "x-amz-date": "d", "content-length": "5"}


def test_the_resource_of_an_error_is_the_decoded_path() -> None:
    assert request("GET", "/b/a%20%C3%A4?x").resource == "/b/a ä"
