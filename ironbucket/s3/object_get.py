"""GetObject and HeadObject: which version, which bytes of it, and the headers that describe it.

GET and HEAD are the hot path: nothing here is looked at that the request did not ask for.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, API_HeadObject.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ironbucket.errors import InvalidArgument, InvalidPartNumber, InvalidRequest
from ironbucket.s3 import ranges
from ironbucket.s3.attributes import encode_value
from ironbucket.s3.call import Call, part_number
from ironbucket.s3.conditions import check_read, etag_matches, parse_date
from ironbucket.s3.request import Request
from ironbucket.s3.response import Header, Response, checksum_headers, expiration_headers, http_date, iso_date
from ironbucket.store.model import Version

if TYPE_CHECKING:
    from ironbucket.node import Node

#: response-content-type=... -> the header it overrides
_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}

_VERSION_ID = re.compile(r"[0-9A-Za-z._-]{1,128}")

_CONDITIONAL = frozenset(("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"))

_NAMES = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
}


def get(call: Call) -> Response:
    """The object's bytes, by reference to the files that hold them."""
    version = _version(call)
    status, headers, start, length = _answer(call, version)
    if status == 304:
        return Response(status, headers, [])
    if not length:
        return Response(status, headers, [])
    payload = call.node.objects.payload(version, start, length, may_wait=call.request.may_wait)
    return Response(status, headers, payload)


def head(call: Call) -> Response:
    """The headers of a GET."""
    version = _version(call)
    status, headers, _, _ = _answer(call, version)
    return Response(status, headers, [])


def _version(call: Call) -> Version:
    request = call.request
    version_id = requested_version(call) if request.query else None
    return call.node.objects.get(request.bucket, request.key, version_id, may_wait=request.may_wait)


def requested_version(call: Call) -> str | None:
    """The versionId parameter. Raises InvalidArgument for what no version can be called."""
    version_id = call.request.query.get("versionId")
    if version_id is not None and not _VERSION_ID.fullmatch(version_id):
        raise InvalidArgument("Invalid version id specified", ArgumentName="versionId", ArgumentValue=version_id)
    return version_id


def _answer(call: Call, version: Version) -> tuple[int, list[Header], int, int]:
    """(status, headers, first byte, number of bytes) of the answer."""
    request = call.request
    asked = request.headers
    # one pass over a small set is cheaper than four look-ups that mostly miss
    if not _CONDITIONAL.isdisjoint(asked) and not check_read(asked, version):
        return 304, _validators(version), 0, 0
    headers = _validators(version)
    status, start, length = 200, 0, version.size
    part = request.query.get("partNumber") if request.query else None
    if part is not None:
        status, start, length = _part(call.node, part, asked, version, headers)
    elif "range" in asked and _range_applies(asked, version):
        found = ranges.parse(asked["range"], version.size)
        if found is not None:
            status, (start, length) = 206, found
    elif asked.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers += checksum_headers(version.checksums, version.checksum_type)
    if status == 206:
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{version.size}"))
    headers.append(("Content-Length", str(length)))
    _describe(version, headers)
    if request.query:
        headers = _override(request, headers)
    return status, headers, start, length


def _validators(version: Version) -> list[Header]:
    """What a 304 carries too: the headers by which a cache knows the object."""
    headers = [
        ("ETag", f'"{version.etag}"'),
        ("Last-Modified", http_date(version.stamp.ms)),
        ("Accept-Ranges", "bytes"),
    ]
    if not version.null or version.null_named:
        headers.append(("x-amz-version-id", version.version_id))
    return headers


def _describe(version: Version, headers: list[Header]) -> None:
    """Append what was stored beside the bytes."""
    attributes = version.attributes
    headers.append(("Content-Type", version.content_type))
    stored = attributes.get("headers")
    if stored:
        headers += [(_NAMES.get(name, name), value) for name, value in stored.items()]
    metadata = attributes.get("meta")
    if metadata:
        headers += [(f"x-amz-meta-{name}", encode_value(value)) for name, value in metadata.items()]
    if "class" in attributes and attributes["class"] != "STANDARD":
        headers.append(("x-amz-storage-class", attributes["class"]))
    tags = attributes.get("tags")
    if tags:
        headers.append(("x-amz-tagging-count", str(len(tags))))
    retention = attributes.get("retention")
    if retention:
        headers.append(("x-amz-object-lock-mode", retention["mode"]))
        headers.append(("x-amz-object-lock-retain-until-date", iso_date(retention["until"])))
    if "legal_hold" in attributes:
        headers.append(("x-amz-object-lock-legal-hold", "ON" if attributes["legal_hold"] else "OFF"))
    if version.expires is not None:
        headers += expiration_headers(version)


def _range_applies(asked: Mapping[str, str], version: Version) -> bool:
    """Whether If-Range, when it is there, still names this version (RFC 9110 13.1.5)."""
    condition = asked.get("if-range")
    if condition is None:
        return True
    if '"' in condition:
        return not condition.startswith("W/") and etag_matches(condition, version.etag)
    return parse_date(condition) == version.stamp.ms // 1000


def _part(
    node: Node, number: str, asked: Mapping[str, str], version: Version, headers: list[Header]
) -> tuple[int, int, int]:
    """(status, start, length) of one part of a multipart object; an object put whole is its own part 1."""
    index = part_number(number) - 1
    if "range" in asked:
        raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
    wants_checksum = asked.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    parts = node.objects.parts(version) if version.parts else []
    if index >= max(len(parts), 1):
        raise InvalidPartNumber(PartNumberRequested=number, ActualPartCount=str(max(len(parts), 1)))
    if not parts:
        if wants_checksum:
            headers += checksum_headers(version.checksums, version.checksum_type)
        return (206 if version.size else 200), 0, version.size
    headers.append(("x-amz-mp-parts-count", str(len(parts))))
    if wants_checksum:
        headers += checksum_headers(parts[index].checksums, version.checksum_type)
    start = sum(part.size for part in parts[:index])
    return (206 if parts[index].size else 200), start, parts[index].size


def _override(request: Request, headers: list[Header]) -> list[Header]:
    """The headers after response-content-type and its kin.

    Raises InvalidRequest when nobody signed for them, and InvalidArgument for what no header can hold.
    """
    for parameter, name in _OVERRIDES.items():
        value = request.query.get(parameter)
        if value is None:
            continue
        if request.identity is None or request.identity.anonymous:
            raise InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
        if any(character in value for character in "\r\n\0"):
            raise InvalidArgument(ArgumentName=parameter, ArgumentValue=value)
        headers = [header for header in headers if header[0] != name]
        headers.append((name, value if value.isascii() else value.encode().decode("latin-1")))
    return headers
