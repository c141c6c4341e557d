"""What there is to know about a request when it is decided whether it may do what it asks for.

Everything is looked up when a condition names it, and not before.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ironbucket.errors import InvalidArgument, InvalidTag, MethodNotAllowed, NoSuchBucket, NoSuchKey, NoSuchVersion
from ironbucket.s3 import tags
from ironbucket.s3.credentials import ACCOUNT_NUMBER, Identity
from ironbucket.s3.policy.conditions import in_network, network
from ironbucket.s3.request import Request
from ironbucket.store.model import Bucket, Version

if TYPE_CHECKING:
    from ironbucket.node import Node

#: headers that are condition keys of the same name
_HEADER_KEYS = frozenset(
    f"x-amz-{name}"
    for name in (
        *("acl", "content-sha256", "copy-source", "grant-full-control", "grant-read", "grant-read-acp"),
        *("grant-write", "grant-write-acp", "metadata-directive", "object-ownership", "server-side-encryption"),
        *("server-side-encryption-aws-kms-key-id", "server-side-encryption-customer-algorithm", "storage-class"),
        "website-redirect-location",
    )
)
_OTHER_HEADERS = {
    "aws:useragent": "user-agent",
    "aws:referer": "referer",
    "s3:if-match": "if-match",
    "s3:if-none-match": "if-none-match",
    "s3:object-lock-mode": "x-amz-object-lock-mode",
    "s3:object-lock-legal-hold": "x-amz-object-lock-legal-hold",
    "s3:object-lock-retain-until-date": "x-amz-object-lock-retain-until-date",
}
_PARAMETERS = {
    "s3:prefix": "prefix",
    "s3:delimiter": "delimiter",
    "s3:max-keys": "max-keys",
    "s3:versionid": "versionId",
}


class Access:
    """What a decision needs beside the request: the node, and which proxies are believed."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.trust(getattr(node.settings, "trusted_proxies", ()))

    def trust(self, proxies: Iterable[str]) -> None:
        """Believe the X-Forwarded-* of these addresses and networks from now on."""
        self._trusted = tuple(network(proxy) for proxy in proxies)

    def bucket(self, name: str) -> Bucket | None:
        """The bucket; None when there is none."""
        try:
            return self.node.buckets.get(name)
        except NoSuchBucket:
            return None

    def is_proxy(self, address: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        try:
            return any(in_network(address, each) for each in self._trusted)
        except ValueError:
            return False

    def source_ip(self, request: Request) -> str:
        """The client's address: the nearest in X-Forwarded-For that is not a trusted proxy's own."""
        address: str = request.environ.get("REMOTE_ADDR", "")
        hops = request.headers.get("x-forwarded-for", "").split(",")
        while hops and self.is_proxy(address):
            hop = hops.pop().strip()
            if not _is_address(hop):
                break  # a proxy that hides its client: what is known is the proxy
            address = hop
        return address

    def is_secure(self, request: Request) -> bool:
        """Whether the client speaks TLS, to this server or to a trusted proxy."""
        if self.is_proxy(request.environ.get("REMOTE_ADDR", "")) and "x-forwarded-proto" in request.headers:
            return request.headers["x-forwarded-proto"].strip().lower() == "https"
        return bool(request.environ.get("wsgi.url_scheme") == "https")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class Facts:
    """The values of condition keys for one action of one request."""

    __slots__ = ("_access", "_action", "_bucket", "_identity", "_key", "_request", "_version")

    def __init__(
        self, access: Access, request: Request, identity: Identity, action: str, bucket: str, key: str
    ) -> None:
        self._access, self._request, self._identity = access, request, identity
        self._action, self._bucket, self._key = action, bucket, key
        self._version: Version | None = None

    def version(self) -> Version | None:
        """The object that the action is about; None when it has none. Raises the errors of reading it."""
        if self._version is None and self._key:
            version_id = self._request.query.get("versionId")
            reads_source = self._request.method == "PUT" and self._action in ("s3:GetObject", "s3:GetObjectVersion")
            if reads_source or (self._bucket, self._key) != (self._request.bucket, self._request.key):
                version_id = self._version_of_source()
            self._version = self._access.node.objects.get(
                self._bucket, self._key, version_id, may_wait=self._request.may_wait
            )
        return self._version

    def _version_of_source(self) -> str | None:
        from ironbucket.s3.copy import parse_source  # which asks for leave itself, and so imports this

        text = self._request.headers.get("x-amz-copy-source")
        source = parse_source(text) if text else None
        return source.version_id if source and source[:2] == (self._bucket, self._key) else None

    def values(self, key: str) -> Sequence[str] | None:
        """All values of a condition key, in lower case; None when the request has none."""
        if (found := _FACTS.get(key)) is not None:
            value = found(self)
            return None if value is None else [value]
        request = self._request
        if key in _PARAMETERS:
            name = _PARAMETERS[key]
            return [request.query[name]] if name in request.query else None
        if key in _OTHER_HEADERS:
            value = request.headers.get(_OTHER_HEADERS[key])
            return None if value is None else [value]
        namespace, _, name = key.partition(":")
        if namespace == "s3" and name in _HEADER_KEYS:
            value = request.headers.get(name)
            return None if value is None else [value]
        return self._of_tags(key)

    def _of_tags(self, key: str) -> Sequence[str] | None:
        if key == "s3:requestobjecttagkeys":
            return sorted(self._request_tags()) or None
        kind, slash, name = key.partition("/")
        if not slash or kind not in ("s3:existingobjecttag", "s3:requestobjecttag"):
            return None
        found = self._existing_tags() if kind == "s3:existingobjecttag" else self._request_tags()
        return [found[name]] if name in found else None

    def _existing_tags(self) -> dict[str, str]:
        try:
            version = self.version()
        except (NoSuchKey, NoSuchVersion, NoSuchBucket, MethodNotAllowed):
            return {}
        return dict(version.tags) if version is not None else {}

    def _request_tags(self) -> dict[str, str]:
        try:
            return tags.from_header(self._request.headers.get("x-amz-tagging", ""))
        except (InvalidArgument, InvalidTag):
            return {}  # the operation will say so

    def user_name(self) -> str | None:
        return self._identity.user or None

    def user_id(self) -> str | None:
        return None if self._identity.anonymous else self._identity.user or ACCOUNT_NUMBER

    def arn(self) -> str | None:
        return None if self._identity.anonymous else self._identity.arn

    def principal_type(self) -> str:
        return "Anonymous" if self._identity.anonymous else "User" if self._identity.user else "Account"

    def account(self) -> str | None:
        return None if self._identity.anonymous else ACCOUNT_NUMBER

    def source_ip(self) -> str:
        return self._access.source_ip(self._request)

    def secure(self) -> str:
        return "true" if self._access.is_secure(self._request) else "false"

    def region(self) -> str:
        return self._access.node.settings.region

    def auth_type(self) -> str | None:
        """How the request was signed."""
        if self._identity.anonymous:
            return None
        if "X-Amz-Signature" in self._request.query:
            return "REST-QUERY-STRING"
        return "REST-HEADER" if "authorization" in self._request.headers else "POST"

    def signature_version(self) -> str | None:
        return None if self._identity.anonymous else "AWS4-HMAC-SHA256"

    def signature_age(self) -> str | None:
        """Milliseconds since a request was presigned."""
        stamp = self._request.query.get("X-Amz-Date")
        if not stamp or self._identity.anonymous:
            return None
        import calendar

        return str(int((time.time() - calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))) * 1000))

    def creation(self) -> str | None:
        """Whether the request makes an object, as opposed to a part of one."""
        if self._action != "s3:PutObject":
            return None
        return "false" if {"uploads", "uploadId"} & self._request.query.keys() else "true"


_FACTS: dict[str, Callable[[Facts], str | None]] = {
    "aws:username": Facts.user_name,
    "aws:userid": Facts.user_id,
    "aws:principalarn": Facts.arn,
    "aws:principaltype": Facts.principal_type,
    "aws:principalaccount": Facts.account,
    "aws:resourceaccount": lambda _: ACCOUNT_NUMBER,
    "s3:resourceaccount": lambda _: ACCOUNT_NUMBER,
    "aws:sourceip": Facts.source_ip,
    "aws:securetransport": Facts.secure,
    "aws:currenttime": lambda _: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    "aws:epochtime": lambda _: str(int(time.time())),
    "aws:requestedregion": Facts.region,
    "s3:locationconstraint": Facts.region,
    "s3:authtype": Facts.auth_type,
    "s3:signatureversion": Facts.signature_version,
    "s3:signatureage": Facts.signature_age,
    "s3:objectcreationoperation": Facts.creation,
}
