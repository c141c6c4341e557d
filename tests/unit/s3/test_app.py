"""The application: routing, identity, failures."""

from __future__ import annotations

import errno
import logging
from typing import Any

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from ironbucket.errors import SlowDown
from ironbucket.s3 import routes
from tests.unit.s3.conftest import ACCESS_KEY, HOST, SECRET_KEY, Client, client_of
from tests.unit.s3.fake_node import FakeNode


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


def test_anonymous_requests_are_refused(client: Client, bucket: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/box"), ("GET", "/box/a"), ("PUT", "/box/a"), ("DELETE", "/box")):
        answer = client(method, path, signed=False)
        assert (answer.status, answer.code) == (403, "AccessDenied")
    assert client("HEAD", "/box/a", signed=False).status == 403


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/", "SERVICE"),
        ("PUT", "/", "SERVICE"),
        ("DELETE", "/", "SERVICE"),
        ("PATCH", "/box", "BUCKET"),
        ("POST", "/box/a", "OBJECT"),
        ("PATCH", "/box/a", "OBJECT"),
    ],
)
def test_methods_that_a_place_does_not_have(client: Client, bucket: str, method: str, path: str, kind: str) -> None:
    answer = client(method, path)
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert (answer.text("Method"), answer.text("ResourceType")) == (method, kind)
    assert "GET" in answer.headers["allow"]


def test_a_subresource_never_falls_through_to_the_object(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"1")
    for subresource in ("attributes", "restore", "uploads", "delete", "versions"):
        assert client("DELETE", "/box/a", query={subresource: ""}).code == "MethodNotAllowed"
        assert client("PUT", "/box/a", b"2", query={subresource: ""}).code == "MethodNotAllowed"
    assert client("GET", "/box/a").body == b"1"


def test_what_nobody_knows_is_ignored(client: Client, bucket: str) -> None:
    assert client("GET", "/box", query={"color": "red", "list-type": "2"}).xml.tag == "ListBucketResult"
    assert client("GET", "/box", query={"list-type": "1"}).xml.find("Marker") is not None


def test_every_operation_has_a_name_an_action_and_one_place() -> None:
    names = [operation.name for operation in routes.ALL]
    assert len(names) == len(set(names))
    places = [(operation.method, operation.rule) for operation in routes.ALL]
    assert len(places) == len(set(places))
    assert all(operation.action.startswith("s3:") for operation in routes.ALL)


def test_the_access_key_and_the_operation_are_told_to_the_server(client: Client, bucket: str) -> None:
    client("PUT", "/box/a", b"1")
    assert client.environ["ironbucket.access_key"] == "root"
    assert client.environ["ironbucket.operation"] == "PutObject"


def failing(error: Exception) -> Client:
    node = FakeNode()
    node.buckets.create("box", "owner")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    node.objects.put = fail  # type: ignore[method-assign,assignment]
    return client_of(node)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OSError(errno.ENOSPC, "full"), 507, "StorageFull"),
        (OSError(errno.EMFILE, "too many"), 503, "ServiceUnavailable"),
        (OSError(errno.EIO, "broken"), 500, "InternalError"),
        (SlowDown(), 503, "SlowDown"),
        (RuntimeError("secret"), 500, "InternalError"),
        (ValueError("secret"), 500, "InternalError"),
    ],
)
def test_failures(caplog: pytest.LogCaptureFixture, error: Exception, status: int, code: str) -> None:
    with caplog.at_level(logging.WARNING):
        answer = failing(error)("PUT", "/box/a", b"1")
    assert (answer.status, answer.code) == (status, code)
    assert b"secret" not in answer.body
    assert "0123456789ABCDEF" in caplog.text


@pytest.mark.parametrize("target", ["/box/%zz", "/box/%ff", "//", "/box/" + "k" * 1025, "/box?prefix=%ff"])
def test_targets_that_cannot_be_parsed(client: Client, bucket: str, target: str) -> None:
    answer = client.send("GET", f"http://127.0.0.1:9000{target}", {"Host": "127.0.0.1:9000"}, b"")
    assert 400 <= answer.status < 500


def test_another_server_needs_no_request_id(client: Client, bucket: str) -> None:
    client("GET", "/")
    environ = dict(client.environ)
    del environ["ironbucket.request_id"]
    seen: list[Any] = []
    client.app(environ, lambda *arguments: seen.append(arguments))
    ids = [value for name, value in seen[0][1] if name == "x-amz-request-id"]
    assert len(ids) == 1
    assert len(ids[0]) == 16


def test_paths_that_are_not_s3_are_bottles(client: Client) -> None:
    client.app.route("/-/health", "GET", lambda: "well")
    client("GET", "/")
    environ = {**client.environ, "PATH_INFO": "/-/health", "REQUEST_URI": "/-/health"}
    seen: list[Any] = []
    assert b"".join(client.app(environ, lambda *arguments: seen.append(arguments))) == b"well"
    assert seen[0][0].startswith("200")


def test_a_presigned_url_may_carry_headers_as_parameters(client: Client, bucket: str) -> None:
    url = presigned("PUT", "/box/a?x-amz-meta-color=r%C3%B6t&x-amz-storage-class=STANDARD_IA")
    answer = client.send("PUT", url, {"Host": HOST, "Content-Length": "5"}, b"hello")
    assert answer.status == 200, answer.body
    got = client("GET", "/box/a").headers
    assert (got["x-amz-meta-color"], got["x-amz-storage-class"]) == ("=?UTF-8?B?csO2dA==?=", "STANDARD_IA")


@pytest.mark.parametrize(
    "parameter", ["x-amz-meta-a%0D%0AX:b=c", "x-amz-meta-a%20b=c", "x-amz-website-redirect-location=/%0D%0AX:%20y"]
)
def test_a_presigned_url_cannot_smuggle_headers(client: Client, bucket: str, parameter: str) -> None:
    url = presigned("PUT", f"/box/a?{parameter}")
    answer = client.send("PUT", url, {"Host": HOST, "Content-Length": "5"}, b"hello")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def presigned(method: str, target: str) -> str:
    request = AWSRequest(method, f"http://{HOST}{target}", {"Host": HOST})
    S3SigV4QueryAuth(BotoCredentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1", expires=60).add_auth(request)
    return str(request.url)


def test_the_document_names_the_host_as_the_header_does(client: Client, bucket: str) -> None:
    answer = client("GET", "/box/missing")
    assert answer.text("HostId") == answer.headers["x-amz-id-2"]


@pytest.mark.parametrize(
    ("path", "query"), [("/", ""), ("/box", "location="), ("/box", "list-type=2"), ("/box/a", "acl=")]
)
def test_a_head_of_anything_else_is_its_get_without_the_document(
    client: Client, bucket: str, path: str, query: str
) -> None:
    client("PUT", "/box/a", b"1")
    answer = client("HEAD", path, query=query)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == client("GET", path, query=query).headers["content-length"]
