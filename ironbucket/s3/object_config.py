"""What hangs on an object beside its bytes: tags, and the attributes that GetObjectAttributes lists.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html, API_GetObjectAttributes.html.
"""

from __future__ import annotations

from ironbucket import errors
from ironbucket.errors import InvalidArgument
from ironbucket.s3 import tags
from ironbucket.s3.call import Call, parse_integer
from ironbucket.s3.object_get import requested_version
from ironbucket.s3.response import Response, empty, http_date, version_headers, write_checksums, xml
from ironbucket.s3.xml import Writer
from ironbucket.store.model import Part, Version

#: what x-amz-object-attributes may name
ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")

MAX_PARTS = 1000


def get_tagging(call: Call) -> Response:
    """GetObjectTagging."""
    version = _version(call)
    return xml(tags.document(version.tags), version_headers(version))


def put_tagging(call: Call) -> Response:
    """PutObjectTagging: the whole set of tags is replaced."""
    new = tags.from_document(call.document("Tagging"))
    return empty(200, version_headers(_update_tags(call, new)))


def delete_tagging(call: Call) -> Response:
    """DeleteObjectTagging."""
    return empty(204, version_headers(_update_tags(call, None)))


def _update_tags(call: Call, value: dict[str, str] | None) -> Version:
    return call.node.objects.update(call.bucket, call.key, requested_version(call), "tags", value or None)


def not_built(call: Call) -> Response:
    """501, once the object is known to exist."""
    _version(call)
    raise errors.NotImplemented


def get_attributes(call: Call) -> Response:
    """GetObjectAttributes: those that the request names. The ETag is bare here, as on AWS."""
    wanted = _wanted(call.header("x-amz-object-attributes"))
    version = _version(call)
    writer = Writer("GetObjectAttributesResponse")
    if "ETag" in wanted:
        writer.leaf("ETag", version.etag)
    if "Checksum" in wanted and version.checksums:
        writer.open("Checksum")
        write_checksums(writer, version, version.checksum_type)
        writer.close()
    if "ObjectParts" in wanted and version.parts:
        _write_parts(call, writer, version)
    if "StorageClass" in wanted:
        writer.leaf("StorageClass", version.storage_class)
    if "ObjectSize" in wanted:
        writer.leaf("ObjectSize", version.size)
    return xml(writer, [("Last-Modified", http_date(version.stamp.ms)), *version_headers(version)])


def _wanted(header: str) -> set[str]:
    wanted = {name.strip() for name in header.split(",")} if header else set()
    if not wanted or not wanted <= set(ATTRIBUTES):
        raise InvalidArgument(
            "Invalid attribute name specified.", ArgumentName="x-amz-object-attributes", ArgumentValue=header
        )
    return wanted


def _write_parts(call: Call, writer: Writer, version: Version) -> None:
    """The page of parts that the headers ask for. AWS lists them only where they carry checksums."""
    limit = parse_integer("x-amz-max-parts", call.header("x-amz-max-parts") or str(MAX_PARTS))
    limit = min(limit, MAX_PARTS)
    marker = parse_integer("x-amz-part-number-marker", call.header("x-amz-part-number-marker") or "0")
    listed = [part for part in call.node.objects.parts(version) if part.number > marker] if version.checksums else []
    page: list[Part] = listed[:limit]
    writer.open("ObjectParts")
    writer.leaf("PartsCount", version.parts)
    if version.checksums:
        writer.leaf("PartNumberMarker", marker)
        writer.leaf("NextPartNumberMarker", page[-1].number if page else marker)
        writer.leaf("MaxParts", limit)
        writer.leaf("IsTruncated", len(listed) > len(page))
    for part in page:
        writer.open("Part")
        writer.leaf("PartNumber", part.number)
        writer.leaf("Size", part.size)
        write_checksums(writer, part)
        writer.close()
    writer.close()


def _version(call: Call) -> Version:
    return call.node.objects.get(call.bucket, call.key, requested_version(call))
