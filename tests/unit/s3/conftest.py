"""A client that calls the WSGI application directly, with requests signed by botocore."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.s3.app import make_app
from ironbucket.s3.credentials import Credentials
from tests.unit.s3.fake_node import FakeNode

ACCESS_KEY, SECRET_KEY = "root", "a secret of some length"
HOST = "127.0.0.1:9000"


class Input(io.BytesIO):
    """wsgi.input as the server gives it."""


@dataclass
class Answer:
    status: int
    header_list: list[tuple[str, str]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.header_list}

    @property
    def xml(self) -> ElementTree.Element:
        """The document, without its namespaces."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.partition("}")[2] or element.tag
        return root

    def text(self, path: str) -> str | None:
        return self.xml.findtext(path)

    def texts(self, path: str) -> list[str]:
        return [element.text or "" for element in self.xml.findall(path)]

    @property
    def code(self) -> str | None:
        return self.text("Code") if self.body else None


class Client:
    """Speaks S3 to an application, without a socket."""

    def __init__(self, app: Any, region: str = "us-east-1") -> None:
        self.app, self.region = app, region
        self.keys = ACCESS_KEY, SECRET_KEY
        self.remote = "127.0.0.1"

    def of(self, access_key: str, secret: str) -> Client:
        """The client of somebody else."""
        other = Client(self.app, self.region)
        other.keys = access_key, secret
        return other

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: dict[str, str] | str = "",
        headers: dict[str, str | None] | dict[str, str] | None = None,
        signed: bool = True,
        host: str = HOST,
    ) -> Answer:
        target = quote(path, safe="/~-._") if "%" not in path else path
        query = query if isinstance(query, str) else urlencode(query, quote_via=quote)
        url = f"http://{host}{target}" + (f"?{query}" if query else "")
        length = {"Content-Length": str(len(body))} if body or method in ("PUT", "POST") else {}
        # a header that is None is not sent
        sent = {name: value for name, value in {"Host": host, **length, **(headers or {})}.items() if value is not None}
        if signed:
            request = AWSRequest(method, url, dict(sent), body)
            S3SigV4Auth(BotoCredentials(*self.keys), "s3", self.region).add_auth(request)
            sent = dict(request.headers.items())
        return self.send(method, url, sent, body)

    def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(url)
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_URI": parts.path + (f"?{parts.query}" if parts.query else ""),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "9000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.remote,
            "wsgi.url_scheme": "http",
            "wsgi.input": Input(body),
            "wsgi.errors": io.StringIO(),
            "ironbucket.headers": raw,
            "ironbucket.request_id": "0123456789ABCDEF",
        }
        for name, value in raw:
            text = name.decode().upper().replace("-", "_")
            key = text if text in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{text}"
            environ[key] = value.decode("latin-1")
        answered: list[Any] = []

        def start_response(status: str, header_list: list[tuple[str, str]], exc_info: Any = None) -> None:
            answered[:] = [status, header_list]

        result = self.app(environ, start_response)
        data = b"".join(result)
        if hasattr(result, "close"):
            result.close()
        self.environ = environ
        answer = Answer(int(answered[0].split()[0]), answered[1], data)
        check_wire_form(method, answer)
        return answer


def check_wire_form(method: str, answer: Answer) -> None:
    """What holds for every answer, whatever the operation."""
    for name, value in answer.header_list:
        assert isinstance(name, str)
        assert isinstance(value, str)
        value.encode("latin-1")
        assert not set("\r\n\0") & set(name + value)
    assert answer.headers["x-amz-request-id"] == "0123456789ABCDEF"
    assert answer.headers["x-amz-id-2"]
    names = [name.lower() for name, _ in answer.header_list]
    assert len(names) == len(set(names))
    if method == "HEAD" or answer.status in (204, 304):
        assert answer.body == b""
    else:
        assert answer.headers["content-length"] == str(len(answer.body))
    if answer.status >= 400 and method != "HEAD":
        assert answer.headers["content-type"] == "application/xml"
        assert answer.text("RequestId") == "0123456789ABCDEF"
        assert answer.text("Resource") is not None


@pytest.fixture(params=["memory", "disk"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A node in memory, and then a real one: what a test says holds for both, which keeps the fake honest."""
    if request.param == "memory":
        yield FakeNode()
        return
    settings = Settings(
        storage_path=str(tmp_path / "s3"),
        wal_path=str(tmp_path / "wal" / "wal.log"),
        state_path=str(tmp_path / "state" / "replicator.state"),
        node_id="node-1",
    )
    Node.prepare(settings)
    real = Node.open(settings)
    yield real
    real.close()


@pytest.fixture
def client(node: Any) -> Client:
    return client_of(node)


def client_of(node: Any) -> Client:
    settings = SimpleNamespace(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    return Client(make_app(node, Credentials.from_settings(settings)), node.settings.region)


@pytest.fixture
def bucket(client: Client) -> str:
    assert client("PUT", "/box").status == 200
    return "/box"
