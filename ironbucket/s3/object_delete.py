"""DeleteObject and DeleteObjects.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html, API_DeleteObjects.html.
"""

from __future__ import annotations

from ironbucket.errors import InvalidRequest, KeyTooLongError, MalformedXML, S3Error
from ironbucket.node.body import Conditions
from ironbucket.s3 import conditions, object_lock
from ironbucket.s3.authorise import authorise
from ironbucket.s3.call import LARGE_DOCUMENT, Call
from ironbucket.s3.object_get import requested_version
from ironbucket.s3.response import Header, Response, empty, xml
from ironbucket.s3.xml import Element, Writer

MAX_KEYS = 1000
MAX_KEY_BYTES = 1024

_DIGEST_HEADERS = ("content-md5", "x-amz-sdk-checksum-algorithm", "x-amz-trailer")

Entry = tuple[str, str | None, Conditions]


def delete(call: Call) -> Response:
    """Delete one object, or put a delete marker in its place; 204 also when there was none."""
    deleted = call.node.objects.delete(
        call.bucket,
        call.key,
        requested_version(call),
        conditions.of_delete(call.request.headers),
        bypass=object_lock.bypass(call, call.key),
    )
    headers: list[Header] = []
    if deleted.version_id is not None:
        headers.append(("x-amz-version-id", deleted.version_id))
    if deleted.marker:
        headers.append(("x-amz-delete-marker", "true"))
    return empty(204, headers)


def delete_many(call: Call) -> Response:
    """Delete up to 1,000 keys, with a result for each in the order they were named."""
    headers = call.request.headers
    if not any(name in headers for name in _DIGEST_HEADERS) and not any(
        name.startswith("x-amz-checksum-") for name in headers
    ):
        raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    document = call.document("Delete", LARGE_DOCUMENT)
    entries = _entries(document)
    results = _delete_entries(call, entries)
    return _report(entries, results, quiet=document.value("Quiet", "").strip().lower() == "true")


def _entries(document: Element) -> list[Entry]:
    """The keys that a Delete document names. Raises MalformedXML."""
    entries = []
    for element in document:
        if element.name == "Object":
            entries.append(_entry(element))
        elif element.name != "Quiet":
            raise MalformedXML
    if not 1 <= len(entries) <= MAX_KEYS:
        raise MalformedXML
    return entries


def _entry(element: Element) -> Entry:
    key = element.value("Key")
    if not key:
        raise MalformedXML
    fields = {name: element.value(name, "") for name in ("ETag", "Size", "LastModifiedTime")}
    condition = conditions.delete_conditions(
        fields["ETag"] or None, fields["Size"] or None, fields["LastModifiedTime"] or None
    )
    return key, element.value("VersionId", "") or None, condition


def _delete_entries(call: Call, entries: list[Entry]) -> list[object]:
    """What became of each entry: a Deleted or an S3Error. One that may not be tried does not stop the others."""
    results: list[object] = [None] * len(entries)
    allowed: list[int] = []
    may_bypass = False
    for index, (key, version_id, _) in enumerate(entries):
        try:
            if len(key.encode()) > MAX_KEY_BYTES:
                raise KeyTooLongError(Size=str(len(key.encode())), MaxSizeAllowed=str(MAX_KEY_BYTES))
            action = "s3:DeleteObject" if version_id is None else "s3:DeleteObjectVersion"
            authorise(call.request, action, call.bucket, key)
            if version_id is not None:
                may_bypass = object_lock.bypass(call, key)  # of all or of none: it is the request's header
            allowed.append(index)
        except S3Error as error:
            results[index] = error
    outcomes = call.node.objects.delete_many(call.bucket, [entries[index] for index in allowed], bypass=may_bypass)
    for index, outcome in zip(allowed, outcomes, strict=True):
        results[index] = outcome
    return results


def _report(entries: list[Entry], results: list[object], *, quiet: bool) -> Response:
    writer = Writer("DeleteResult")
    for (key, version_id, _), result in zip(entries, results, strict=True):
        if isinstance(result, S3Error):
            writer.open("Error")
            writer.leaf("Key", key)
            if version_id is not None:
                writer.leaf("VersionId", version_id)
            writer.leaf("Code", result.code)
            writer.leaf("Message", result.message)
            writer.close()
        elif not quiet:
            _write_deleted(writer, key, version_id, result)
    return xml(writer)


def _write_deleted(writer: Writer, key: str, version_id: str | None, result: object) -> None:
    writer.open("Deleted")
    writer.leaf("Key", key)
    if version_id is not None:
        writer.leaf("VersionId", version_id)
    if getattr(result, "marker", False):
        writer.leaf("DeleteMarker", True)
        writer.leaf("DeleteMarkerVersionId", getattr(result, "version_id", None) or version_id or "null")
    writer.close()
