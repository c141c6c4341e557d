"""ListObjectVersions: every version and delete marker, newest first within a key.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from __future__ import annotations

from ironbucket.errors import InvalidArgument
from ironbucket.s3.call import Call
from ironbucket.s3.listing import Encoder, checksum_markup, encoder, max_entries, owner_markup, write_encoding
from ironbucket.s3.response import Response, iso_date, xml
from ironbucket.s3.xml import Writer, escape
from ironbucket.store.model import CommonPrefix, Kind, Page, Version


def list_versions(call: Call) -> Response:
    """One page, from after (key-marker, version-id-marker)."""
    query = call.request.query
    encode = encoder(call)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker, version_marker = query.get("key-marker", ""), query.get("version-id-marker", "")
    if version_marker and not key_marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=version_marker,
        )
    limit = max_entries(call, "max-keys")
    if limit:
        page = call.node.objects.list_versions(call.bucket, prefix, delimiter, key_marker, version_marker, limit)
    else:
        call.node.buckets.get(call.bucket)
        page = Page([], False, "")
    writer = Writer("ListVersionsResult")
    writer.leaf("Name", call.bucket)
    writer.leaf("Prefix", encode(prefix))
    writer.leaf("KeyMarker", encode(key_marker))
    writer.leaf("VersionIdMarker", version_marker)
    if page.truncated:
        writer.leaf("NextKeyMarker", encode(page.next_after))
        if page.next_version:
            writer.leaf("NextVersionIdMarker", page.next_version)
    writer.leaf("MaxKeys", limit)
    if delimiter:
        writer.leaf("Delimiter", encode(delimiter))
    write_encoding(writer, encode)
    writer.leaf("IsTruncated", page.truncated)
    _write_entries(writer, call, page, encode)
    return xml(writer)


def _write_entries(writer: Writer, call: Call, page: Page, encode: Encoder) -> None:
    prefixes = []
    for entry in page.entries:
        if isinstance(entry, CommonPrefix):
            prefixes.append(f"<CommonPrefixes><Prefix>{escape(encode(entry.prefix))}</Prefix></CommonPrefixes>")
        else:
            writer.raw(_entry(entry, encode, owner_markup(call, entry.owner)))
    for markup in prefixes:
        writer.raw(markup)


def _entry(version: Version, encode: Encoder, owner: str) -> str:
    common = (
        f"<Key>{escape(encode(version.key))}</Key><VersionId>{version.version_id}</VersionId>"
        f"<IsLatest>{'true' if version.is_latest else 'false'}</IsLatest>"
        f"<LastModified>{iso_date(version.modified_ms)}</LastModified>"
    )
    if version.kind is Kind.DELETE_MARKER:
        return f"<DeleteMarker>{common}{owner}</DeleteMarker>"
    return (
        f"<Version>{common}<ETag>&quot;{version.etag}&quot;</ETag>{checksum_markup(version)}<Size>{version.size}</Size>"
        f"<StorageClass>{version.storage_class}</StorageClass>{owner}</Version>"
    )
