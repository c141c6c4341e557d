"""PutObject."""

from __future__ import annotations

from tests.unit.s3.conftest import Client


def test_an_object_comes_back_as_it_was_put(client: Client, bucket: str) -> None:
    put = client("PUT", "/box/a", b"hello")
    assert (put.status, put.headers["etag"]) == (200, '"5d41402abc4b2a76b9719d911017c592"')
    got = client("GET", "/box/a")
    assert (got.status, got.body) == (200, b"hello")
    assert got.headers["content-type"] == "binary/octet-stream"
    assert client("DELETE", "/box/a").status == 204
    assert client("GET", "/box/a").code == "NoSuchKey"
