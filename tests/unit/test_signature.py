"""Signature V4: the pure functions."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket import signature

NOW = 1369353600.0


def test_the_signing_key_of_the_documentation() -> None:
    key = signature.signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1", "iam")
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_the_signer_is_hmac_sha256(key: bytes, text: bytes) -> None:
    assert signature.Signer(key).sign(text) == hmac.digest(key, text, "sha256").hex()


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/", "/"),
        ("/a//b/../c/", "/a//b/../c/"),
        ("/a b", "/a%20b"),
        ("/a+b", "/a%2Bb"),
        ("/a%2bb%7e%41", "/a%2Bb~A"),
        ("/a%2Fb", "/a/b"),
        ("/a%252Fb", "/a%252Fb"),
        ("/\xc3\xa4", "/%C3%A4"),
        ("/!$&'()*,:;=@", "/%21%24%26%27%28%29%2A%2C%3A%3B%3D%40"),
    ],
)
def test_canonical_paths(raw: str, canonical: str) -> None:
    assert signature.canonical_path(raw) == canonical
    assert signature.canonical_path(canonical) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("", ""),
        ("acl", "acl="),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&a", "a=&a=1&a=2"),
        ("a-b=1&a=2", "a=2&a-b=1"),
        ("B=1&a=1&A=1", "A=1&B=1&a=1"),
        ("a=b+c%2b%20", "a=b%20c%2B%20"),
        ("a=b=c/d", "a=b%3Dc%2Fd"),
        ("b==&a=%2F&c", "a=%2F&b=%3D&c="),
        ("a=%2f%3d%25", "a=%2F%3D%25"),
        ("a=1%", "a=1%25"),
        ("&&a=1&", "a=1"),
        ("%7e=%7E", "~=~"),
    ],
)
def test_canonical_queries(raw: str, canonical: str) -> None:
    assert signature.canonical_query(raw) == canonical
    assert signature.canonical_query(canonical) == canonical


def test_a_parameter_can_be_left_out() -> None:
    assert signature.canonical_query("X=1", without="X") == ""
    assert signature.canonical_query("X=1&a=2&Xa=3", without="X") == "Xa=3&a=2"


def test_canonical_headers_are_trimmed_and_folded_by_blanks_alone() -> None:
    headers = {"a": "  x   y\t z ", "b": "\xa0\xc3\xa0 \x85", "c": ""}
    assert signature.canonical_headers(headers, ("a", "b", "c", "gone")) == "a:x y z\nb:\xa0\xc3\xa0 \x85\nc:\ngone:\n"
    assert signature.canonical_headers({"a": "x"}, ("a",)) == "a:x\n"


def test_times() -> None:
    assert signature.timestamp(NOW) == "20130524T000000Z"
    assert signature.parse_timestamp("20130524T000000Z") == NOW
    for text in ("", "20130524", "2013-05-24T00:00:00Z", "20130524T000000", "20131324T000000Z", "２0130524T000000Z"):
        with pytest.raises(ValueError):
            signature.parse_timestamp(text)
