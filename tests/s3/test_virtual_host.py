"""Virtual-host style: the bucket in the host name, when DOMAIN says which names are ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.process import ACCESS_KEY, SECRET_KEY, NodeProcess
from tests.harness.raw import RawClient


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    with NodeProcess(tmp_path_factory.mktemp("domain"), DOMAIN="s3.example.test,other.test", WORKERS=1) as node:
        yield RawClient(node.endpoint, ACCESS_KEY, SECRET_KEY)


def test_the_bucket_from_the_host(raw: RawClient) -> None:
    host = "pictures.s3.example.test"
    assert raw.request("PUT", path="/", host=host).status == 200
    assert raw.request("PUT", path="/a/b", host=host, body=b"data").status == 200
    assert raw.request("GET", path="/a/b", host=f"{host}:{raw.port}").body == b"data"
    assert raw.request("GET", "pictures", "a/b").body == b"data"
    assert raw.request("GET", path="/", host=host, query={"list-type": "2"}).xml().findtext("Contents/Key") == "a/b"
    assert raw.request("GET", path="/a/b", host="pictures.other.test").body == b"data"


def test_a_key_that_looks_like_a_bucket(raw: RawClient) -> None:
    host = "pictures.s3.example.test"
    assert raw.request("PUT", path="/", host=host).status == 200
    assert raw.request("PUT", path="/pictures/x", host=host, body=b"1").status == 200
    assert raw.request("GET", "pictures", "pictures/x").body == b"1"
    assert raw.request("GET", "pictures", "x").status == 404


def test_the_domain_itself_and_other_hosts_are_path_style(raw: RawClient) -> None:
    assert raw.request("PUT", "plain", host="s3.example.test").status == 200
    assert raw.request("PUT", "plain", "k", host="s3.example.test", body=b"x").status == 200
    assert raw.request("GET", "plain", "k", host="unrelated.example").body == b"x"


def test_a_bucket_name_with_dots(raw: RawClient) -> None:
    assert raw.request("PUT", path="/", host="a.b.c.s3.example.test").status == 200
    assert raw.request("HEAD", "a.b.c").status == 200


def test_the_case_of_the_host_does_not_count(raw: RawClient) -> None:
    assert raw.request("PUT", "cases").status == 200
    assert raw.request("HEAD", path="/", host="CASES.S3.Example.Test").status == 200
