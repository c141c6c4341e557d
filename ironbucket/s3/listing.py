"""ListObjects, version 1 and 2: pages of keys and common prefixes, in UTF-8 byte order.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html, API_ListObjects.html.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from ironbucket.errors import InvalidArgument
from ironbucket.s3 import tokens
from ironbucket.s3.call import Call
from ironbucket.s3.response import Response, iso_date, xml
from ironbucket.s3.xml import Writer, escape
from ironbucket.store.model import CommonPrefix, Page, Version

MAX_KEYS = 1000

Encoder = Callable[[str], str]


def encoder(call: Call) -> Encoder:
    """How keys are written: as they are, or percent-encoded with encoding-type=url. Raises InvalidArgument."""
    encoding = call.request.query.get("encoding-type", "")
    if encoding == "url":
        return _quote
    if encoding:
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request", ArgumentName="encoding-type", ArgumentValue=encoding
        )
    return str


def _quote(text: str) -> str:
    return quote(text, safe="/*")


def write_encoding(writer: Writer, encode: Encoder) -> None:
    """Say how the keys are written, if not as they are."""
    if encode is _quote:
        writer.leaf("EncodingType", "url")


def max_entries(call: Call, parameter: str) -> int:
    """A page's size: 1,000 unless the request asks for less. Raises InvalidArgument."""
    return min(call.integer(parameter, MAX_KEYS), MAX_KEYS)


def list_v1(call: Call) -> Response:
    """ListObjects. NextMarker is there only with a delimiter: without, the last key is the marker."""
    query = call.request.query
    encode = encoder(call)
    marker, delimiter = query.get("marker", ""), query.get("delimiter", "")
    limit = max_entries(call, "max-keys")
    page = _page(call, marker, delimiter, limit)
    writer = _head(call, encode)
    writer.leaf("Marker", encode(marker))
    if page.truncated and delimiter:
        writer.leaf("NextMarker", encode(page.next_after))
    _write_limits(writer, limit, delimiter, encode, page)
    _write_entries(writer, call, page, encode, with_owner=True)
    return xml(writer)


def list_v2(call: Call) -> Response:
    """ListObjectsV2. A continuation token takes precedence over start-after."""
    query = call.request.query
    encode = encoder(call)
    token, start_after, delimiter = (
        query.get("continuation-token"),
        query.get("start-after", ""),
        query.get("delimiter", ""),
    )
    limit = max_entries(call, "max-keys")
    page = _page(call, tokens.decode(token) if token else start_after, delimiter, limit)
    writer = _head(call, encode)
    if "start-after" in query:
        writer.leaf("StartAfter", encode(start_after))
    if token is not None:
        writer.leaf("ContinuationToken", token)
    if page.truncated:
        writer.leaf("NextContinuationToken", tokens.encode(page.next_after))
    writer.leaf("KeyCount", len(page.entries))
    _write_limits(writer, limit, delimiter, encode, page)
    _write_entries(writer, call, page, encode, with_owner=query.get("fetch-owner", "").lower() == "true")
    return xml(writer)


def _page(call: Call, after: str, delimiter: str, limit: int) -> Page:
    if limit == 0:
        call.node.buckets.get(call.bucket)
        return Page([], False, "")
    return call.node.objects.list(call.bucket, call.request.query.get("prefix", ""), delimiter, after, limit)


def _head(call: Call, encode: Encoder) -> Writer:
    writer = Writer("ListBucketResult")
    writer.leaf("Name", call.bucket)
    writer.leaf("Prefix", encode(call.request.query.get("prefix", "")))
    return writer


def _write_limits(writer: Writer, limit: int, delimiter: str, encode: Encoder, page: Page) -> None:
    writer.leaf("MaxKeys", limit)
    if delimiter:
        writer.leaf("Delimiter", encode(delimiter))
    write_encoding(writer, encode)
    writer.leaf("IsTruncated", page.truncated)


def _write_entries(writer: Writer, call: Call, page: Page, encode: Encoder, *, with_owner: bool) -> None:
    """Contents, then CommonPrefixes: S3 documents have them apart, each in order."""
    prefixes = []
    for entry in page.entries:
        if isinstance(entry, CommonPrefix):
            prefixes.append(f"<CommonPrefixes><Prefix>{escape(encode(entry.prefix))}</Prefix></CommonPrefixes>")
        else:
            owner = owner_markup(call, entry.owner) if with_owner else ""
            writer.raw(_contents(entry, encode, owner))
    for markup in prefixes:
        writer.raw(markup)


def _contents(version: Version, encode: Encoder, owner: str) -> str:
    attributes = version.attributes
    kinds = checksum_markup(version)
    return (
        f"<Contents><Key>{escape(encode(version.key))}</Key><LastModified>{iso_date(version.stamp.ms)}</LastModified>"
        f"<ETag>&quot;{version.etag}&quot;</ETag>{kinds}<Size>{version.size}</Size>{owner}"
        f"<StorageClass>{attributes.get('class', 'STANDARD')}</StorageClass></Contents>"
    )


def checksum_markup(version: Version) -> str:
    """The elements that say which checksums a version has."""
    checksums = version.attributes.get("checksums")
    return _checksum_markup(*checksums, kind=version.checksum_type) if checksums else ""


@lru_cache(maxsize=64)
def _checksum_markup(*algorithms: str, kind: str) -> str:
    """Which checksums an object has; there are few combinations, and a page names one a thousand times."""
    named = "".join(f"<ChecksumAlgorithm>{algorithm.upper()}</ChecksumAlgorithm>" for algorithm in algorithms)
    return f"{named}<ChecksumType>{kind}</ChecksumType>"


def owner_markup(call: Call, owner_id: str) -> str:
    """The Owner element, as markup for hot loops."""
    name = escape(call.credentials.owner(owner_id))
    return f"<Owner><ID>{escape(owner_id)}</ID><DisplayName>{name}</DisplayName></Owner>"
