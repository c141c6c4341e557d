"""ListParts and ListMultipartUploads.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html, API_ListMultipartUploads.html.
"""

from __future__ import annotations

from ironbucket.s3.call import Call
from ironbucket.s3.listing import Encoder, encoder, max_entries, write_encoding
from ironbucket.s3.response import Response, iso_date, write_checksums, write_owner, xml
from ironbucket.s3.xml import Writer
from ironbucket.store.model import CommonPrefix, Upload


def list_parts(call: Call) -> Response:
    """The parts that have arrived, by number."""
    encode = encoder(call)
    limit = max_entries(call, "max-parts")
    marker = call.integer("part-number-marker", 0)
    upload, parts, truncated = call.node.uploads.list_parts(
        call.bucket, call.key, call.request.query["uploadId"], marker, max(limit, 1)
    )
    if limit == 0:
        parts, truncated = [], False
    writer = Writer("ListPartsResult")
    writer.leaf("Bucket", call.bucket)
    writer.leaf("Key", encode(call.key))
    writer.leaf("UploadId", upload.upload_id)
    _write_people(writer, call, upload)
    writer.leaf("StorageClass", _storage_class(upload))
    writer.leaf("PartNumberMarker", marker)
    writer.leaf("NextPartNumberMarker", parts[-1].number if parts else marker)
    writer.leaf("MaxParts", limit)
    writer.leaf("IsTruncated", truncated)
    write_encoding(writer, encode)
    _write_algorithm(writer, upload)
    for part in parts:
        writer.open("Part")
        writer.leaf("PartNumber", part.number)
        writer.leaf("LastModified", iso_date(part.modified_ms))
        writer.leaf("ETag", f'"{part.etag}"')
        writer.leaf("Size", part.size)
        write_checksums(writer, part)
        writer.close()
    return xml(writer)


def list_uploads(call: Call) -> Response:
    """The uploads in progress, by key and then by the time they began."""
    query = call.request.query
    encode = encoder(call)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker = query.get("key-marker", "")
    # an upload id means something only together with a key
    upload_marker = query.get("upload-id-marker", "") if key_marker else ""
    limit = max_entries(call, "max-uploads")
    entries, truncated, next_key, next_upload = call.node.uploads.list(
        call.bucket, prefix, delimiter, key_marker, upload_marker, max(limit, 1)
    )
    if limit == 0:
        entries, truncated = [], False
    writer = Writer("ListMultipartUploadsResult")
    writer.leaf("Bucket", call.bucket)
    writer.leaf("KeyMarker", encode(key_marker))
    writer.leaf("UploadIdMarker", upload_marker)
    if truncated:
        writer.leaf("NextKeyMarker", encode(next_key))
        writer.leaf("NextUploadIdMarker", next_upload)
    writer.leaf("Prefix", encode(prefix))
    if delimiter:
        writer.leaf("Delimiter", encode(delimiter))
    writer.leaf("MaxUploads", limit)
    write_encoding(writer, encode)
    writer.leaf("IsTruncated", truncated)
    for entry in entries:
        if isinstance(entry, Upload):
            _write_upload(writer, call, entry, encode)
    for entry in entries:
        if isinstance(entry, CommonPrefix):
            writer.open("CommonPrefixes")
            writer.leaf("Prefix", encode(entry.prefix))
            writer.close()
    return xml(writer)


def _write_upload(writer: Writer, call: Call, upload: Upload, encode: Encoder) -> None:
    writer.open("Upload")
    writer.leaf("Key", encode(upload.key))
    writer.leaf("UploadId", upload.upload_id)
    _write_people(writer, call, upload)
    writer.leaf("StorageClass", _storage_class(upload))
    writer.leaf("Initiated", iso_date(upload.initiated_ms))
    _write_algorithm(writer, upload)
    writer.close()


def _write_people(writer: Writer, call: Call, upload: Upload) -> None:
    """Initiator and owner: the account that began the upload."""
    owner = str(upload.attributes.get("owner", ""))
    name = call.credentials.owner(owner)
    write_owner(writer, owner, name, "Initiator")
    write_owner(writer, owner, name)


def _storage_class(upload: Upload) -> str:
    return str(upload.attributes.get("class", "STANDARD"))


def _write_algorithm(writer: Writer, upload: Upload) -> None:
    if upload.checksum_algorithm:
        writer.leaf("ChecksumAlgorithm", upload.checksum_algorithm.upper())
        writer.leaf("ChecksumType", upload.checksum_type)
