"""One peer, as a client sees it: signed requests over a connection that is kept open. Decides nothing."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from ironbucket.errors import IronBucketError
from ironbucket.replication import PREFIX
from ironbucket.signature import UNSIGNED_PAYLOAD, sign

#: whom the signature names: peers share one secret
ACCESS_KEY = "cluster"
REGION, SERVICE = "cluster", "replicate"

#: seconds
CONNECT_TIMEOUT = 3.0
ANSWER_TIMEOUT = 20.0


class PeerUnreachable(IronBucketError):
    """The peer did not answer."""


class PeerRefused(IronBucketError):
    """The peer answered with an error."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status, self.document = status, document
        super().__init__(f"{status} {document.get('code', '')}: {document.get('message', '')}")


class Peer:
    """A connection to a peer. Not for use by several threads at once."""

    def __init__(self, address: str, secret: str, node: str, *, timeout: float = ANSWER_TIMEOUT) -> None:
        """`address` is host:port; `node` is who asks."""
        self.address, self._secret, self._node, self._timeout = address, secret, node, timeout
        self._connection: http.client.HTTPConnection | None = None

    def vector(self) -> dict[str, Any]:
        """Who the peer is, its clock, and how far it holds each log: {"vector": {"node/epoch": [n, chain]}, ...}."""
        return _with_vector(self._json("GET", "vector"))

    def send_batch(self, body: bytes) -> dict[str, Any]:
        """Deliver a batch; returns the peer's vector after it. Raises PeerRefused with what was not taken, and why."""
        return _with_vector(self._json("POST", "batch", body=body))

    def send(self, what: str, body: bytes) -> dict[str, Any]:
        """Send bytes to an endpoint, return the answer's JSON document. Raises PeerRefused, PeerUnreachable."""
        return self._json("POST", what, body=body)

    def get(self, what: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The JSON document of an endpoint."""
        return self._json("GET", what, query)

    def payload_size(self, place: Mapping[str, str]) -> int:
        """How many bytes of a payload file the peer has staged; -1 when it has the whole file settled."""
        return int(self._json("GET", "payload", place)["size"])

    def send_payload(self, place: Mapping[str, str], path: str, offset: int) -> None:
        """Stream a payload file from `offset` on. Raises PeerRefused, OSError."""
        with open(path, "rb") as source:
            count = os.fstat(source.fileno()).st_size - offset
            query = {**place, "offset": str(offset)}
            with self._answer("PUT", "payload", query, length=count, file=(source, offset, count)) as response:
                _document(response)

    @contextlib.contextmanager
    def open(self, what: str, query: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET, to be read by the caller. Raises PeerRefused."""
        with self._answer("GET", what, query) as response:
            if response.status != 200:
                _document(response)
            yield response

    def post(self, what: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Send a JSON document, return the answer's."""
        return self._json("POST", what, body=json.dumps(document).encode())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _json(
        self, method: str, what: str, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, Any]:
        with self._answer(method, what, query or {}, body=body, length=len(body)) as response:
            return _document(response)

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        what: str,
        query: Mapping[str, str],
        *,
        body: bytes = b"",
        length: int = 0,
        file: Any = None,
    ) -> Iterator[http.client.HTTPResponse]:
        target = PREFIX + what + ("?" + urlencode(query) if query else "")
        try:
            try:
                reused = self._connection is not None
                response = self._exchange(method, target, body, length, file)
            except (ConnectionError, http.client.BadStatusLine):
                if not reused or file:
                    raise
                self.close()  # the peer had closed the idle connection; every request but a payload may be repeated
                response = self._exchange(method, target, body, length, file)
            yield response
            if response.read(1) or response.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise PeerUnreachable(f"{self.address}: {error or type(error).__name__}") from error
        except BaseException:
            self.close()
            raise

    def _exchange(self, method: str, target: str, body: bytes, length: int, file: Any) -> http.client.HTTPResponse:
        connection = self._connected()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it read it all
            self._send(connection, method, target, body, length, file)
        return connection.getresponse()

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, _, port = self.address.rpartition(":")
            connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=CONNECT_TIMEOUT)
            connection.connect()
            connection.sock.settimeout(self._timeout)
            self._connection = connection
        return self._connection

    def _send(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes, length: int, file: Any
    ) -> None:
        digest = UNSIGNED_PAYLOAD if file else hashlib.sha256(body).hexdigest()
        headers = sign(
            method,
            target,
            {"host": self.address, "x-ironbucket-node": self._node},
            access_key=ACCESS_KEY,
            secret=self._secret,
            region=REGION,
            service=SERVICE,
            now=time.time(),
            payload=digest,
        )
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if method != "GET":
            connection.putheader("content-length", str(length))
        connection.endheaders(body or None)
        if file and length:
            source, offset, count = file
            connection.sock.sendfile(source, offset, count)


def _with_vector(document: dict[str, Any]) -> dict[str, Any]:
    vector = document.get("vector")
    if not isinstance(vector, dict) or not all(isinstance(at, list) and len(at) == 2 for at in vector.values()):
        raise PeerRefused(200, {"code": "NotIronBucket", "message": "the answer has no vector"})
    return document


def _document(response: http.client.HTTPResponse) -> dict[str, Any]:
    text = response.read(1 << 20)
    try:
        document = json.loads(text)
    except ValueError:
        document = {"code": "NotIronBucket", "message": "the answer is not one of IronBucket's"}
    if response.status != 200:
        raise PeerRefused(response.status, document)
    if not isinstance(document, dict):
        raise PeerRefused(response.status, {"code": "NotIronBucket"})
    return document
