"""The S3 application: from a WSGI request to an answer, and every failure to S3's error document.

A request is parsed, authenticated, routed, authorised and handed to its operation, in that order. Bottle is the
application and the router; its `wsgi` is overridden so that a GET of an object touches nothing that it does not need.
Paths below /-/ are not S3 (no bucket can be named "-"): they are ordinary Bottle routes of whoever adds them.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import bottle

from ironbucket.errors import (
    AccessDenied,
    Anonymous,
    InternalError,
    InvalidBucketName,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchKey,
    S3Error,
    ServiceUnavailable,
    StorageFull,
)
from ironbucket.node.objects import WouldWait
from ironbucket.s3 import access_config, cors, errors, routes
from ironbucket.s3.access import Access
from ironbucket.s3.authorise import authorise_operation, may_know_it_is_missing
from ironbucket.s3.bucket import is_valid_name
from ironbucket.s3.call import Call
from ironbucket.s3.credentials import Credentials
from ironbucket.s3.request import Request
from ironbucket.s3.response import STATUS_LINE, Header, Response, http_date
from ironbucket.s3.sigv4 import Authentication, anonymous, authenticate

if TYPE_CHECKING:
    from ironbucket.node import Node

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

#: an error's details that are headers of the answer, not elements of the document
_DETAIL_HEADERS = {"delete_marker": "x-amz-delete-marker", "version_id": "x-amz-version-id", "allow": "Allow"}

#: of a write's answer: how far the log goes that holds it. A read that presents it is answered at or after it.
POSITION = "x-ironbucket-position"

_READS = ("GET", "HEAD")

#: operations that store an ACL with an object, of those that have one in their headers
_BRINGS_ACL = frozenset(("PutObject", "CopyObject", "CreateMultipartUpload"))

_ERRNO: dict[int, type[S3Error]] = {
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EMFILE: ServiceUnavailable,
    errno.ENFILE: ServiceUnavailable,
}


def make_app(node: Node, credentials: Credentials) -> bottle.Bottle:
    """The WSGI application for one node. `credentials` may be replaced later: `app.config["credentials"]`."""
    return App(node, credentials)


class App(bottle.Bottle):  # type: ignore[misc]  # bottle has no types
    """Bottle, with S3 in front of its own routes."""

    def __init__(self, node: Node, credentials: Credentials) -> None:
        super().__init__()
        self.node = node
        self.region = node.settings.region
        self.domains = tuple(name.lower() for name in node.settings.domains)
        self.config["credentials"] = credentials
        self.access = Access(node)
        #: x-amz-id-2: which node answered, in a form that says nothing about it to others
        self.host_id = base64.b64encode(hashlib.sha256(node.settings.node_id.encode()).digest()).decode()
        for operation in routes.ALL:
            self.route(operation.rule, operation.method, operation.handler, operation.name, action=operation.action)
        get, head = (self.match({"REQUEST_METHOD": m, "PATH_INFO": routes.KEY})[0] for m in ("GET", "HEAD"))
        self.object_routes = {"GET": get, "HEAD": head}

    def wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        """Answer one request."""
        if environ["PATH_INFO"].startswith("/-/"):
            return super().wsgi(environ, start_response)  # type: ignore[no-any-return]
        request_id = environ.get("ironbucket.request_id") or _new_request_id(environ)
        request = None
        try:
            request = Request.parse(environ, self.domains)
            response = self._respond(request) if request.method != "OPTIONS" else cors.preflight(self.node, request)
        except WouldWait:
            return None  # the server's loop asks again from a thread that may wait
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets S3's document and the log the cause
            response = self._failure(error, request, environ, request_id)
        headers = response.headers
        if request is not None and "origin" in request.headers and request.method != "OPTIONS":
            headers += cors.headers(self.node, request)
        headers.append(("x-amz-request-id", request_id))
        headers.append(("x-amz-id-2", self.host_id))
        start_response(STATUS_LINE[response.status], headers)
        # a HEAD of what has none of its own is its GET without the document
        return response.body if environ["REQUEST_METHOD"] != "HEAD" else []

    def refuse(self, error: S3Error, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """S3's error document for a request that did not get as far as `wsgi`."""
        response = self._failure(error, None, environ, environ["ironbucket.request_id"])
        start_response(STATUS_LINE[response.status], response.headers)
        return response.body

    def _respond(self, request: Request) -> Response:
        credentials = self.config["credentials"]
        try:
            authentication = authenticate(request, credentials, region=self.region, now=time.time())
        except Anonymous:
            authentication = anonymous(request)
        request.identity = identity = authentication.identity
        request.access = self.access
        if not identity.anonymous:
            request.environ["ironbucket.access_key"] = identity.access_key
        try:
            route = self._route(request)
        except MethodNotAllowed:
            if identity.anonymous:
                raise AccessDenied from None
            raise
        request.environ["ironbucket.operation"] = route.name
        if not identity.unrestricted:
            return self._restricted(request, authentication, route)
        return self._perform(request, authentication, route)

    def _restricted(self, request: Request, authentication: Authentication, route: bottle.Route) -> Response:
        """The answer to a caller who may not do everything."""
        if authentication.identity.user:
            request.environ["ironbucket.user"] = authentication.identity.user
        if route.name not in routes.ASK_THEMSELVES:
            authorise_operation(request, route.config["action"])
        try:
            return self._perform(request, authentication, route)
        except NoSuchKey:
            if route.name != "PostObject" and not may_know_it_is_missing(request):
                raise AccessDenied from None
            raise

    def _perform(self, request: Request, authentication: Authentication, route: bottle.Route) -> Response:
        """Do what the request asks for, which is allowed."""
        call = Call(self.node, self.config["credentials"], request, authentication)
        if request.method not in _READS and route.name in _BRINGS_ACL and access_config.brings_acl(request):
            access_config.check_headers(call)
        if (position := request.headers.get(POSITION)) is not None:
            self._wait_for(position, request)
        response: Response = route.callback(call)
        if request.method not in _READS and self.node.settings.cluster_nodes:
            response.headers.append((POSITION, self.node.position()))
        return response

    def _wait_for(self, position: str, request: Request) -> None:
        """Answer at or after a position that an earlier write was answered with, on whatever node."""
        if not request.may_wait and not self.node.reached(position):
            raise WouldWait
        self.node.wait_for(position)

    def _route(self, request: Request) -> bottle.Route:
        if request.key and not request.query and (found := self.object_routes.get(request.method)):
            return found
        place = routes.route(request)
        try:
            return self.match({"REQUEST_METHOD": request.method, "PATH_INFO": place})[0]
        except bottle.HTTPError as error:
            kind = {"": "SERVICE", "bucket": "BUCKET"}.get(place.partition("?")[0].strip("/"), "OBJECT")
            allowed = error.headers.get("Allow") if error.status_code == 405 else None
            raise MethodNotAllowed(
                Method=request.method, ResourceType=kind, **({"allow": allowed} if allowed else {})
            ) from None

    def _failure(self, error: Exception, request: Request | None, environ: Environ, request_id: str) -> Response:
        """The answer to a request that failed."""
        problem = translate(error, request)
        status = errors.status(problem)
        if problem is not error:
            log.error("request %s: %s", request_id, problem.message, exc_info=error)
        elif status >= 500 and status != 501:
            log.warning("request %s: %s: %s", request_id, problem.code, problem.message)
        headers: list[Header] = []
        for detail, name in _DETAIL_HEADERS.items():
            if detail in problem.details:
                headers.append((name, problem.details.pop(detail)))
        if "last_modified_ms" in problem.details:
            headers.append(("Last-Modified", http_date(int(problem.details.pop("last_modified_ms")))))
        if environ["REQUEST_METHOD"] == "HEAD" or status == 304:
            return Response(status, headers, [])
        body = errors.document(problem, request.resource if request else environ["PATH_INFO"], request_id, self.host_id)
        headers += [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        return Response(status, headers, [body])


def translate(error: Exception, request: Request | None) -> S3Error:
    """The S3 error that tells the client what went wrong."""
    if isinstance(error, NoSuchBucket) and request and request.bucket and not is_valid_name(request.bucket):
        return InvalidBucketName(BucketName=request.bucket)
    if isinstance(error, S3Error):
        return error
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return _ERRNO[error.errno]()
    return InternalError()


def _new_request_id(environ: Environ) -> str:
    """16 upper-case hexadecimal digits, for servers that make none."""
    request_id: str = environ.setdefault("ironbucket.request_id", os.urandom(8).hex().upper())
    return request_id
