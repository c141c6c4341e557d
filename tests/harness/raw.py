"""Requests written byte by byte: what an SDK would never send, and what it sends without its help."""

from __future__ import annotations

import hashlib
import http.client
import socket
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.harness.signing import EMPTY_SHA256, Signer, path_of, query_of


@dataclass(frozen=True)
class Answer:
    """A whole response. Header names are lower case; repeated ones are joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def xml(self) -> ElementTree.Element:
        """The document, its names without their namespace."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    @property
    def code(self) -> str:
        """The S3 error code of the body; "" when there is none."""
        if not self.body.lstrip().startswith(b"<"):
            return ""
        root = self.xml()
        return root.findtext("Code", "") if root.tag == "Error" else ""

    def __str__(self) -> str:
        return f"{self.status} {dict(self.headers)} {self.body[:600]!r}"


class RawClient:
    """Signed and unsigned requests to one endpoint, one connection each."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str = "us-east-1") -> None:
        url = urlsplit(endpoint)
        assert url.hostname and url.port
        self.hostname, self.port = url.hostname, url.port
        self.host = url.netloc
        self.signer = Signer(access_key, secret_key, region)

    def connect(self, timeout: float = 30) -> socket.socket:
        connection = socket.create_connection((self.hostname, self.port), timeout=timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def request(
        self,
        method: str,
        bucket: str = "",
        key: str | bytes = "",
        query: Mapping[str, str] | str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
        *,
        digest: str | None = None,
        sign: bool = True,
        path: str | None = None,
        signer: Signer | None = None,
        host: str | None = None,
    ) -> Answer:
        """One request. `digest` is the x-amz-content-sha256 value (default: that of the body, if it is bytes)."""
        path = path if path is not None else path_of(bucket, key)
        raw_query = query if isinstance(query, str) else query_of(query)
        if digest is None:
            digest = hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else EMPTY_SHA256
        full = dict(headers or {})
        if sign:
            full = (signer or self.signer).header(method, host or self.host, path, raw_query, full, digest)
        elif host:
            full["Host"] = host
        return self.send(method, path + (f"?{raw_query}" if raw_query else ""), full, body)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] = b"") -> Answer:
        """One request exactly as given (Content-Length is added for a `bytes` body, Host if missing)."""
        connection = http.client.HTTPConnection(self.hostname, self.port, timeout=60)
        try:
            names = {name.lower() for name in headers}
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            if "host" not in names:
                connection.putheader("Host", self.host)
            for name, value in headers.items():
                connection.putheader(name, value.encode("utf-8"))
            if isinstance(body, bytes) and "content-length" not in names and (body or method in ("PUT", "POST")):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            try:
                for piece in [body] if isinstance(body, bytes) else body:
                    if piece:
                        connection.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server has answered early and closed; its answer is read below
            return _answer(connection.getresponse())
        finally:
            connection.close()

    def exchange(self, data: bytes, timeout: float = 30, *, half_close: bool = False) -> bytes:
        """Send these bytes, return all that comes back until the server closes or `timeout` passes in silence."""
        received = b""
        with self.connect(timeout) as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    received += piece
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                pass
        return received


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        name = name.lower()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Answer(response.status, headers, response.read())


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next response on an open connection (which stays open)."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return _answer(response)


def head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """A request line and header section as bytes, including the empty line."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
