"""Access control lists: canned ones, grants in headers and documents, and what a grant permits. Pure.

A list is stored as pairs (grantee, permission); none is stored for what is private. There is one account, so a
grantee is that account, everyone (AllUsers) or whoever is known (AuthenticatedUsers).

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ironbucket import errors
from ironbucket.errors import InvalidArgument, InvalidRequest, MalformedACLError, UnresolvableGrantByEmailAddress
from ironbucket.s3.response import write_owner
from ironbucket.s3.xml import Element, Writer

#: as stored: ((grantee, permission), ...)
Grants = Sequence[Sequence[str]]

ALL, KNOWN, LOGS = "AllUsers", "AuthenticatedUsers", "LogDelivery"
_URI = {
    ALL: "http://acs.amazonaws.com/groups/global/AllUsers",
    KNOWN: "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
    LOGS: "http://acs.amazonaws.com/groups/s3/LogDelivery",
}
_GROUPS = {uri: group for group, uri in _URI.items()}
PERMISSIONS = ("FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP")
MAX_GRANTS = 100

_CANNED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "private": (),
    "public-read": ((ALL, "READ"),),
    "public-read-write": ((ALL, "READ"), (ALL, "WRITE")),
    "authenticated-read": ((KNOWN, "READ"),),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
    "log-delivery-write": ((LOGS, "WRITE"), (LOGS, "READ_ACP")),
}
_GRANT = "x-amz-grant-"
_HEADERS = {_GRANT + permission.lower().replace("_", "-"): permission for permission in PERMISSIONS}
#: the headers that set a list
HEADERS = frozenset(("x-amz-acl", *_HEADERS))
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*"?([^",]*)"?\s*', re.IGNORECASE)

#: what a permission on the bucket, or on an object, permits
BUCKET_PERMISSIONS = {
    "s3:ListBucket": "READ",
    "s3:ListBucketVersions": "READ",
    "s3:ListBucketMultipartUploads": "READ",
    "s3:PutObject": "WRITE",
    "s3:DeleteObject": "WRITE",
    "s3:GetBucketAcl": "READ_ACP",
    "s3:PutBucketAcl": "WRITE_ACP",
}
OBJECT_PERMISSIONS = {
    "s3:GetObject": "READ",
    "s3:GetObjectVersion": "READ",
    "s3:GetObjectTorrent": "READ",
    "s3:GetObjectAcl": "READ_ACP",
    "s3:GetObjectVersionAcl": "READ_ACP",
    "s3:PutObjectAcl": "WRITE_ACP",
    "s3:PutObjectVersionAcl": "WRITE_ACP",
}


def groups(*, known: bool) -> tuple[str, ...]:
    """The groups that a caller belongs to."""
    return (ALL, KNOWN) if known else (ALL,)


def allows(grants: Grants | None, to: Iterable[str], permission: str | None) -> bool:
    """Whether a stored list grants a permission to any of these grantees."""
    if not grants or permission is None:
        return False
    return any(grantee in to and may in (permission, "FULL_CONTROL") for grantee, may in grants)


def is_public(grants: Grants | None) -> bool:
    """Whether a list grants anything to people at large."""
    return any(grantee in (ALL, KNOWN) for grantee, _ in grants or ())


def are_off(configuration: Mapping[str, Any]) -> bool:
    """Whether a bucket's ownership controls have switched its lists off."""
    return configuration.get("ownershipControls") == "BucketOwnerEnforced"


# -- reading ----------------------------------------------------------------------------------------------------------


def of_headers(headers: Mapping[str, str], owner: str) -> list[list[str]] | None:
    """The list that a request's headers set; None for a private one, and when there are none.

    Raises InvalidArgument, InvalidRequest, UnresolvableGrantByEmailAddress and NotImplemented (aws-exec-read).
    """
    if HEADERS.isdisjoint(headers):
        return None
    canned = headers.get("x-amz-acl")
    given = [name for name in _HEADERS if name in headers]
    if canned is None:
        return _kept([grant for name in given for grant in _granted(headers[name], name, owner)], owner)
    if given:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    if canned == "aws-exec-read":
        raise errors.NotImplemented(Header="x-amz-acl")
    if canned not in _CANNED:
        raise InvalidArgument(ArgumentName="x-amz-acl", ArgumentValue=canned)
    return _kept([(owner, "FULL_CONTROL"), *_CANNED[canned]], owner)


def _granted(text: str, header: str, owner: str) -> list[tuple[str, str]]:
    found = []
    for item in text.split(","):
        match = _GRANTEE.fullmatch(item)
        if match is None:
            raise InvalidArgument("Argument format not recognized", ArgumentName=header, ArgumentValue=text)
        found.append((_grantee(match[1].lower(), match[2], owner), _HEADERS[header]))
    return found


def _grantee(kind: str, value: str, owner: str) -> str:
    if kind == "emailaddress":
        raise UnresolvableGrantByEmailAddress(Email=value)
    if kind == "uri":
        if value not in _GROUPS:
            raise InvalidArgument("Invalid group uri", ArgumentName="uri", ArgumentValue=value)
        return _GROUPS[value]
    if value != owner:
        raise InvalidArgument("Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=value)
    return value


def _kept(grants: Iterable[tuple[str, str]], owner: str) -> list[list[str]] | None:
    """The list as it is stored: None for the one that everything has."""
    unique = dict.fromkeys(grants)
    if len(unique) > MAX_GRANTS:
        raise MalformedACLError("The ACL has more grants than are allowed")
    return None if [*unique] == [(owner, "FULL_CONTROL")] else [list(grant) for grant in unique]


def of_document(document: Element, owner: str) -> list[list[str]] | None:
    """The list of an AccessControlPolicy document. Raises MalformedACLError, InvalidArgument, AccessDenied's kin."""
    named = document.find("Owner")
    listed = document.find("AccessControlList")
    if listed is None or any(child.name not in ("Owner", "AccessControlList") for child in document):
        raise MalformedACLError
    if named is not None and named.value("ID", "") not in ("", owner):
        raise errors.AccessDenied
    return _kept([_grant(element, owner) for element in listed], owner)


def _grant(element: Element, owner: str) -> tuple[str, str]:
    grantee, permission = element.find("Grantee"), element.value("Permission", "")
    if element.name != "Grant" or grantee is None or permission not in PERMISSIONS:
        raise MalformedACLError
    for name, kind in (("ID", "id"), ("URI", "uri"), ("EmailAddress", "emailaddress")):
        if grantee.find(name) is not None:
            return _grantee(kind, grantee.value(name), owner), permission
    raise MalformedACLError


# -- writing ----------------------------------------------------------------------------------------------------------


def document(grants: Grants | None, owner: str, display_name: str) -> Writer:
    """The AccessControlPolicy document of a stored list."""
    writer = Writer("AccessControlPolicy")
    write_owner(writer, owner, display_name)
    writer.open("AccessControlList")
    for grantee, permission in grants if grants is not None else ((owner, "FULL_CONTROL"),):
        writer.open("Grant")
        kind = "Group" if grantee in _URI else "CanonicalUser"
        writer.open("Grantee", f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="{kind}"')
        if grantee in _URI:
            writer.leaf("URI", _URI[grantee])
        else:
            writer.leaf("ID", grantee)
            writer.leaf("DisplayName", display_name if grantee == owner else grantee)
        writer.close()
        writer.leaf("Permission", permission)
        writer.close()
    writer.close()
    return writer
