"""From a parsed head to a WSGI environ (PEP 3333), with the checks that llhttp leaves to its user.

Beside PEP 3333 the environ holds REQUEST_URI (the target as sent), `ironbucket.headers` and `ironbucket.request_id`.
A header whose name holds an underscore is in `ironbucket.headers` only: as HTTP_A_B it could pose as A-B.
"""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from ironbucket import errors
from ironbucket.server.answers import Refusal, bad_request, new_request_id
from ironbucket.server.parser import HeadParser

#: header name as sent -> (name in environ or None, lower-case name)
_names: dict[bytes, tuple[str | None, bytes]] = {}
_NAMES_MAX = 2048
#: Host values found well-formed
_hosts: set[str] = set()
_HOSTS_MAX = 256
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]*)?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class Request(NamedTuple):
    """One request's head."""

    method: str
    environ: dict[str, Any]
    request_id: str
    http11: bool
    keep_alive: bool
    #: of the body in bytes; None: chunked
    length: int | None
    #: the client waits for 100 Continue
    expects: bool


def base_environ(server_name: str, server_port: int) -> dict[str, Any]:
    """What every request of one listening socket has in common."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": "IronBucket",
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "SCRIPT_NAME": "",
    }


def read(parser: HeadParser, base: dict[str, Any]) -> Request:
    """The request whose head `parser` has completed. `base`: the connection's part of the environ. Raises Refusal."""
    method = parser.method()
    http11 = parser.version() == "1.1"
    environ = base.copy()
    headers = []
    for name, value in parser.events.headers:
        try:
            key, lower = _names[name]
        except KeyError:
            key, lower = _learn(name)
        value = value.rstrip()
        headers.append((lower, value))
        if key is None:
            continue
        text = str(value, "latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    target = str(parser.events.target, "ascii")
    if target[0] != "/" or "#" in target:
        target = _target(target, environ)
    path, _, query = target.partition("?")
    request_id = new_request_id()
    environ["REQUEST_METHOD"] = method
    environ["REQUEST_URI"] = target
    environ["PATH_INFO"] = str(unquote_to_bytes(path), "latin-1") if "%" in path else path
    environ["QUERY_STRING"] = query
    environ["SERVER_PROTOCOL"] = "HTTP/1.1" if http11 else "HTTP/1.0"
    environ["ironbucket.headers"] = headers
    environ["ironbucket.request_id"] = request_id
    if environ.get("HTTP_HOST") not in _hosts:
        _check_host(environ, http11)
    length: int | None = 0
    if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
        length = _length(environ, http11)
    expects = "HTTP_EXPECT" in environ and http11 and _expects(environ["HTTP_EXPECT"])
    keep_alive = _keeps_alive(environ["HTTP_CONNECTION"], http11) if "HTTP_CONNECTION" in environ else http11
    return Request(method, environ, request_id, http11, keep_alive, length, expects)


def _learn(name: bytes) -> tuple[str | None, bytes]:
    lower = name.lower()
    upper = name.decode("ascii").upper().replace("-", "_")
    key = upper if upper in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{upper}"
    known = (None if b"_" in name else key, lower)
    if len(_names) < _NAMES_MAX:
        _names[name] = known
    return known


def _target(target: str, environ: dict[str, Any]) -> str:
    """The target in origin form. RFC 9112 3.2."""
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise Refusal(400, errors.InvalidURI())
        authority, target = absolute[1], absolute[2]
        if authority.lower() != str(environ.get("HTTP_HOST", authority)).lower():
            raise bad_request("The request names two hosts.")
        environ["HTTP_HOST"] = authority
        if not target.startswith("/"):
            target = f"/{target}"
    if "#" in target:
        raise Refusal(400, errors.InvalidURI())
    return target


def _check_host(environ: dict[str, Any], http11: bool) -> None:
    host = environ.get("HTTP_HOST")
    if host is None:
        if http11:
            raise bad_request("The request has no Host header.")
        return
    if sum(name == b"host" for name, _ in environ["ironbucket.headers"]) > 1 or not _HOST.fullmatch(host):
        raise bad_request("The Host header is not valid.")
    if len(_hosts) < _HOSTS_MAX and "," not in host:
        _hosts.add(host)


def _length(environ: dict[str, Any], http11: bool) -> int | None:
    if "HTTP_TRANSFER_ENCODING" in environ:
        if not http11 or environ["HTTP_TRANSFER_ENCODING"].lower() != "chunked" or "CONTENT_LENGTH" in environ:
            raise bad_request("This Transfer-Encoding is not supported.")
        return None
    length = environ["CONTENT_LENGTH"]
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise bad_request("The Content-Length is not valid.")
    return int(length)


def _keeps_alive(connection: str, http11: bool) -> bool:
    """RFC 9112 9.3."""
    options = {option.strip().lower() for option in connection.split(",")}
    return "close" not in options and (http11 or "keep-alive" in options)


def _expects(value: str) -> bool:
    if value.lower() != "100-continue":
        raise Refusal(417, errors.InvalidRequest("This expectation is not supported."))
    return True
