"""Requests that another node has to answer: parts of a multipart upload go to the node that began it.

The upload id names that node. The request is passed on as it came, with its Host header, so that its signature still
holds; the other node verifies it.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ironbucket.errors import IronBucketError, ServiceUnavailable
from ironbucket.replication.peer import Peer
from ironbucket.store.uploads import upload_node

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)

Environ = dict[str, Any]
MARK = b"x-ironbucket-forwarded"
_HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"expect"))
_CHUNK = 1 << 18
_TIMEOUT = 60.0
_ASK_AGAIN = 5.0


class NodeAway(ServiceUnavailable):
    """The node that holds the parts of this upload cannot be reached. Try again."""


class Forwarder:
    """Knows which requests are not for this node, and where they belong."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._addresses: dict[str, str] = {}
        self._asked = 0.0
        self._lock = threading.Lock()

    def owner(self, environ: Environ) -> str | None:
        """The node that has to answer a request; None when it is this one."""
        if "uploadId=" not in environ["QUERY_STRING"]:
            return None
        upload_id = parse_qs(environ["QUERY_STRING"]).get("uploadId", [""])[0]
        node = upload_node(upload_id)
        if node is None or node == self._settings.node_id:
            return None
        if any(name == MARK for name, _ in environ["ironbucket.headers"]):
            return None  # passed on once: whoever did it was sure
        return node

    def forward(self, node: str, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on and the answer back. Raises NodeAway before anything was answered."""
        address = self._address(node)
        if address is None:
            raise NodeAway
        host, _, port = address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT)
        try:
            self._send(connection, environ)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            log.warning("%s: %s", address, error)
            raise NodeAway from error
        except BaseException:
            connection.close()
            raise
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _OWN_HEADERS]
        start_response(f"{response.status} {response.reason}", headers)
        return _relay(connection, response)

    def _send(self, connection: http.client.HTTPConnection, environ: Environ) -> None:
        connection.putrequest(
            environ["REQUEST_METHOD"], environ["REQUEST_URI"], skip_host=True, skip_accept_encoding=True
        )
        hops: str = environ["REMOTE_ADDR"]
        for name, value in environ["ironbucket.headers"]:
            if name == b"x-forwarded-for":
                hops = value.decode("latin-1") + ", " + hops
            elif name not in _HOP_BY_HOP:
                connection.putheader(name.decode("latin-1"), value)
        connection.putheader("x-forwarded-for", hops)  # for policies that look at addresses
        connection.putheader(MARK.decode(), self._settings.node_id)
        remaining = environ.get("CONTENT_LENGTH")
        chunked = not remaining and any(name == b"transfer-encoding" for name, _ in environ["ironbucket.headers"])
        if chunked:
            connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        if remaining or chunked:
            buffer = memoryview(bytearray(_CHUNK))
            while count := environ["wsgi.input"].readinto(buffer):
                connection.send(b"%x\r\n%b\r\n" % (count, bytes(buffer[:count])) if chunked else buffer[:count])
            if chunked:
                connection.send(b"0\r\n\r\n")

    def _address(self, node: str) -> str | None:
        """Where a node is, as it said itself."""
        with self._lock:
            if node not in self._addresses and time.monotonic() - self._asked > _ASK_AGAIN:
                self._asked = time.monotonic()
                for address in self._settings.cluster_nodes:
                    peer = Peer(address, self._settings.cluster_secret, self._settings.node_id, timeout=2.0)
                    try:
                        self._addresses[str(peer.vector()["node"])] = address
                    except IronBucketError as error:
                        log.info("%s: %s", address, error)
                    finally:
                        peer.close()
        return self._addresses.get(node)


_OWN_HEADERS = frozenset(("connection", "keep-alive", "transfer-encoding", "date", "server"))


def _relay(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    finally:
        connection.close()
