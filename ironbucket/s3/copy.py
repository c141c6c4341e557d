"""CopyObject, and the source of a copy, which UploadPartCopy names likewise.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ironbucket import checksums
from ironbucket.errors import InvalidArgument, InvalidRequest, MethodNotAllowed
from ironbucket.node.body import Attributes
from ironbucket.s3 import attributes, conditions, object_lock
from ironbucket.s3.authorise import authorise
from ironbucket.s3.call import Call
from ironbucket.s3.object_put import MAX_PUT
from ironbucket.s3.response import (
    Header,
    Response,
    expiration_headers,
    iso_date,
    version_headers,
    write_checksums,
    xml,
)
from ironbucket.s3.xml import Writer
from ironbucket.store.model import Version

#: headers that are the object's own and do not travel with a copy
_NOT_COPIED = ("x-amz-website-redirect-location",)


class Source(NamedTuple):
    """What x-amz-copy-source names."""

    bucket: str
    key: str
    version_id: str | None


def copy(call: Call) -> Response:
    """Make the key a copy of the source, with its metadata or with new ones."""
    headers = call.request.headers
    named = parse_source(call.header("x-amz-copy-source"))
    replaces_metadata = _directive(call, "x-amz-metadata-directive")
    replaces_tags = _directive(call, "x-amz-tagging-directive")
    described = attributes.read(headers, call.owner_id)
    source = open_source(call, named)
    changes = replaces_metadata or described.storage_class is not None or bool(_redirect(described))
    if (source.bucket, source.key) == (call.bucket, call.key) and source.is_latest and not changes:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the"
            " object's metadata, storage class, website redirect location or encryption attributes."
        )
    if source.size > MAX_PUT:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_PUT}"
        )
    kept = described if replaces_metadata else _with_source_metadata(described, source)
    # a lock does not travel with a copy: it is what the request says, or the bucket's default
    kept = replace(
        kept,
        tags=(described.tags if replaces_tags else source.tags) or None,
        extra={**kept.extra, **object_lock.of_write(headers)},
    )
    version = call.node.objects.copy(
        source, call.bucket, call.key, kept, conditions.of_write(headers), checksum_algorithm(call)
    )
    return _result(version, source_headers(source))


def _redirect(described: Attributes) -> str:
    return described.headers.get("x-amz-website-redirect-location", "")


def _directive(call: Call, name: str) -> bool:
    """Whether a directive says REPLACE. Raises InvalidArgument."""
    text = call.header(name)
    if text not in ("", "COPY", "REPLACE"):
        what = "metadata" if "metadata" in name else "tagging"
        raise InvalidArgument(f"Unknown {what} directive.", ArgumentName=name, ArgumentValue=text)
    return text == "REPLACE"


def _with_source_metadata(described: Attributes, source: Version) -> Attributes:
    """The source's description under the copy's own owner, storage class and website redirect."""
    carried = {name: value for name, value in source.headers.items() if name not in _NOT_COPIED}
    if redirect := _redirect(described):
        carried["x-amz-website-redirect-location"] = redirect
    return replace(described, content_type=source.content_type, headers=carried, metadata=source.metadata)


def parse_source(text: str) -> Source:
    """Bucket, key and version of x-amz-copy-source: [/]bucket/key[?versionId=id], percent-encoded.

    Raises InvalidArgument.
    """
    path, _, version_id = text.removeprefix("/").partition("?versionId=")
    try:
        decoded = unquote_to_bytes(path.encode("latin-1")).decode()
    except UnicodeDecodeError:
        decoded = ""
    bucket, _, key = decoded.removeprefix("/").partition("/")
    if not bucket or not key:
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=text,
        )
    return Source(bucket, key, version_id or None)


def open_source(call: Call, named: Source) -> Version:
    """The version to copy, once the caller may read it and its conditions hold.

    Raises NoSuchBucket, NoSuchKey, NoSuchVersion, InvalidRequest for a delete marker, PreconditionFailed.
    """
    action = "s3:GetObject" if named.version_id is None else "s3:GetObjectVersion"
    authorise(call.request, action, named.bucket, named.key)
    try:
        source = call.node.objects.get(*named)
    except MethodNotAllowed:
        raise InvalidRequest(
            "The source of a copy request may not specifically refer to a delete marker by version id."
        ) from None
    conditions.check_source(call.request.headers, source)
    return source


def source_headers(source: Version) -> list[Header]:
    """x-amz-copy-source-version-id, of a source that has one."""
    return [("x-amz-copy-source-version-id", source.version_id)] if not source.null or source.null_named else []


def checksum_algorithm(call: Call) -> str:
    """x-amz-checksum-algorithm in lower case; "" when it is missing. Raises InvalidRequest."""
    algorithm = call.header("x-amz-checksum-algorithm").lower()
    if algorithm and algorithm not in checksums.ALGORITHMS:
        raise InvalidRequest(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types:"
            " [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )
    return algorithm


def _result(version: Version, headers: list[Header]) -> Response:
    writer = Writer("CopyObjectResult")
    writer.leaf("LastModified", iso_date(version.stamp.ms))
    writer.leaf("ETag", f'"{version.etag}"')
    write_checksums(writer, version, version.checksum_type)
    return xml(writer, [*headers, *version_headers(version), *expiration_headers(version)])
