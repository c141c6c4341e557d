"""Multipart uploads: Create, UploadPart, UploadPartCopy, Complete, Abort.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html, API_UploadPart.html,
API_UploadPartCopy.html, API_CompleteMultipartUpload.html.
"""

from __future__ import annotations

from dataclasses import replace

from ironbucket import checksums
from ironbucket.errors import InvalidRequest, MalformedXML
from ironbucket.node.body import Expected
from ironbucket.s3 import attributes, conditions, object_lock, ranges
from ironbucket.s3.call import LARGE_DOCUMENT, MAX_PARTS, Call, parse_integer, part_number
from ironbucket.s3.copy import checksum_algorithm, open_source, parse_source, source_headers
from ironbucket.s3.object_put import MAX_PUT, check_size
from ironbucket.s3.response import (
    Header,
    Response,
    checksum_headers,
    empty,
    expiration_headers,
    iso_date,
    version_headers,
    write_checksums,
    xml,
)
from ironbucket.s3.xml import Element, Writer
from ironbucket.store.model import Upload, Version

#: what each algorithm may be for a whole object; the first is the default
CHECKSUM_TYPES = {
    "crc32": ("COMPOSITE", "FULL_OBJECT"),
    "crc32c": ("COMPOSITE", "FULL_OBJECT"),
    "crc64nvme": ("FULL_OBJECT",),
    "sha1": ("COMPOSITE",),
    "sha256": ("COMPOSITE",),
}

#: (part number, ETag, checksums by algorithm) as a completion names them
NamedPart = tuple[int, str, dict[str, str]]


def create(call: Call) -> Response:
    """Begin an upload; what its headers say of the object is kept until the completion."""
    headers = call.request.headers
    described = attributes.read(headers, call.owner_id)
    if lock := object_lock.of_write(headers):
        described = replace(described, extra={**described.extra, **lock})
    algorithm = checksum_algorithm(call)
    kind = _checksum_type(call, algorithm)
    upload = call.node.uploads.create(call.bucket, call.key, described, algorithm, kind)
    writer = Writer("InitiateMultipartUploadResult")
    writer.leaf("Bucket", call.bucket)
    writer.leaf("Key", call.key)
    writer.leaf("UploadId", upload.upload_id)
    answer: list[Header] = []
    if algorithm:
        answer = [("x-amz-checksum-algorithm", algorithm.upper()), ("x-amz-checksum-type", kind)]
    return xml(writer, answer)


def _checksum_type(call: Call, algorithm: str) -> str:
    """FULL_OBJECT or COMPOSITE; "" without an algorithm. Raises InvalidRequest."""
    kind = call.header("x-amz-checksum-type").upper()
    if not algorithm:
        if kind:
            raise InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return ""
    if kind not in ("", "COMPOSITE", "FULL_OBJECT"):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    allowed = CHECKSUM_TYPES[algorithm]
    if kind and kind not in allowed:
        raise InvalidRequest(f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.")
    return kind or allowed[0]


def upload_part(call: Call) -> Response:
    """Store one part; a part of the same number is replaced."""
    number = part_number(call.request.query.get("partNumber", ""))
    expected = call.expected()
    check_size(expected)
    upload = call.node.uploads.get(call.bucket, call.key, _upload_id(call))
    _check_algorithm(upload, expected)
    part = call.node.uploads.put_part(call.bucket, call.key, upload.upload_id, number, call.body(), expected)
    return empty(200, [("ETag", f'"{part.etag}"'), *checksum_headers(part.checksums)])


def _check_algorithm(upload: Upload, expected: Expected) -> None:
    """A part must bring the algorithm that the upload was created with. Raises InvalidRequest."""
    declared = [*expected.checksums, *([expected.trailer_checksum] if expected.trailer_checksum else [])]
    for algorithm in declared:
        if upload.checksum_algorithm and algorithm != upload.checksum_algorithm:
            raise InvalidRequest(
                f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm},"
                f" actual checksum Type: {algorithm}"
            )


def upload_part_copy(call: Call) -> Response:
    """Store one part whose bytes are another object's, or a range of them."""
    number = part_number(call.request.query.get("partNumber", ""))
    source = open_source(call, parse_source(call.header("x-amz-copy-source")))
    start, length = 0, source.size
    if "x-amz-copy-source-range" in call.request.headers:
        start, length = ranges.parse_source(call.header("x-amz-copy-source-range"), source.size)
    if length > MAX_PUT:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_PUT}"
        )
    part = call.node.uploads.copy_part(call.bucket, call.key, _upload_id(call), number, source, start, length)
    writer = Writer("CopyPartResult")
    writer.leaf("LastModified", iso_date(part.modified_ms))
    writer.leaf("ETag", f'"{part.etag}"')
    write_checksums(writer, part)
    return xml(writer, source_headers(source))


def _upload_id(call: Call) -> str:
    return call.request.query["uploadId"]


def complete(call: Call) -> Response:
    """Make the parts an object. A repeat with the same parts answers as the first time."""
    headers = call.request.headers
    parts = _named_parts(call.document("CompleteMultipartUpload", LARGE_DOCUMENT, own_checksums=False))
    size = call.header("x-amz-mp-object-size")
    kind = call.header("x-amz-checksum-type").upper()
    if kind not in ("", "COMPOSITE", "FULL_OBJECT"):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    version = call.node.uploads.complete(
        call.bucket,
        call.key,
        _upload_id(call),
        parts,
        expected_checksums=_whole_checksums(call),
        checksum_type=kind,
        object_size=parse_integer("x-amz-mp-object-size", size, 0, 2**47) if size else None,
        conditions=conditions.of_write(headers),
    )
    return xml(_completed(call, version), [*version_headers(version), *expiration_headers(version)])


def _whole_checksums(call: Call) -> dict[str, str]:
    """The checksums of the finished object that the client expects, by algorithm."""
    names = {algorithm: f"x-amz-checksum-{algorithm}" for algorithm in checksums.ALGORITHMS}
    return {algorithm: call.header(name) for algorithm, name in names.items() if call.header(name)}


def _named_parts(document: Element) -> list[NamedPart]:
    """The parts of a CompleteMultipartUpload document. Raises MalformedXML."""
    parts = [_named_part(element) for element in document]
    if not 1 <= len(parts) <= MAX_PARTS:
        raise MalformedXML
    return parts


def _named_part(element: Element) -> NamedPart:
    if element.name != "Part":
        raise MalformedXML
    number = element.value("PartNumber").strip()
    if not (number.isascii() and number.isdecimal() and len(number) < 6):
        raise MalformedXML
    found = {algorithm: element.value(f"Checksum{algorithm.upper()}", "") for algorithm in checksums.ALGORITHMS}
    return (
        int(number),
        element.value("ETag").strip().strip('"'),
        {algorithm: value.strip() for algorithm, value in found.items() if value.strip()},
    )


def _completed(call: Call, version: Version) -> Writer:
    writer = Writer("CompleteMultipartUploadResult")
    writer.leaf("Location", _location(call))
    writer.leaf("Bucket", call.bucket)
    writer.leaf("Key", call.key)
    writer.leaf("ETag", f'"{version.etag}"')
    write_checksums(writer, version, version.checksum_type)
    return writer


def _location(call: Call) -> str:
    """The object's address as this client reached it."""
    request = call.request
    scheme = request.environ.get("HTTP_X_FORWARDED_PROTO") or request.environ.get("wsgi.url_scheme")
    return f"{'https' if scheme == 'https' else 'http'}://{request.host}{request.raw_path}"


def abort(call: Call) -> Response:
    """Drop an upload and its parts."""
    call.node.uploads.abort(call.bucket, call.key, _upload_id(call))
    return empty(204)
