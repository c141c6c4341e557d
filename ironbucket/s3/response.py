"""What an operation gives back, and the small forms of it: dates, ETags, checksums, version ids.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html, RFC 9110 5.6.7 (dates).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

from ironbucket.s3.xml import Writer
from ironbucket.store.model import Part, Version

Header = tuple[str, str]

#: status -> status line, for start_response
STATUS_LINE: Mapping[int, str] = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Response(NamedTuple):
    """Status, headers in order, and the body: a list of bytes, or a payload that the server sends with sendfile."""

    status: int
    headers: list[Header]
    body: Iterable[bytes]


def empty(status: int = 200, headers: list[Header] | None = None) -> Response:
    """An answer without a body. A 204 carries no Content-Length (RFC 9110 8.6)."""
    headers = headers if headers is not None else []
    if status not in (204, 304):
        headers.append(("Content-Length", "0"))
    return Response(status, headers, [])


def xml(writer: Writer | bytes, headers: Iterable[Header] = (), status: int = 200) -> Response:
    """An answer that is an XML document."""
    body = writer if isinstance(writer, bytes) else writer.bytes()
    fixed = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    return Response(status, [*headers, *fixed], [body])


@lru_cache(maxsize=4096)
def _http_date(second: int) -> str:
    t = time.gmtime(second)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon]} {t.tm_year} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


def http_date(ms: int) -> str:
    """Unix milliseconds as RFC 1123 has it: Wed, 12 Oct 2009 17:50:00 GMT."""
    return _http_date(ms // 1000)


@lru_cache(maxsize=4096)
def _iso_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def iso_date(ms: int) -> str:
    """Unix milliseconds as S3's documents have it: 2009-10-12T17:50:30.000Z."""
    return f"{_iso_second(ms // 1000)}.{ms % 1000:03}Z"


def version_headers(version: Version) -> list[Header]:
    """x-amz-version-id: "null" for a null version, and none in a bucket that never had versioning."""
    if version.null:
        return [("x-amz-version-id", "null")] if version.null_named else []
    return [("x-amz-version-id", version.version)]


def expiration_headers(version: Version) -> list[Header]:
    """x-amz-expiration, of a version that a lifecycle rule will expire."""
    if version.expires is None:
        return []
    moment, rule = version.expires
    return [("x-amz-expiration", f'expiry-date="{http_date(moment)}", rule-id="{quote(rule)}"')]


def checksum_headers(checksums: Mapping[str, str], checksum_type: str = "") -> list[Header]:
    """x-amz-checksum-<algorithm> for each, and their type when there are any."""
    headers = [(f"x-amz-checksum-{algorithm}", value) for algorithm, value in checksums.items()]
    if headers and checksum_type:
        headers.append(("x-amz-checksum-type", checksum_type))
    return headers


def write_headers(version: Version) -> list[Header]:
    """What every write of an object answers with: ETag, version id, checksums."""
    headers = [("ETag", f'"{version.etag}"'), *version_headers(version)]
    return headers + checksum_headers(version.checksums, version.checksum_type)


def write_checksums(writer: Writer, item: Version | Part, checksum_type: str = "") -> None:
    """The elements ChecksumCRC32 and so on, and ChecksumType when there are any."""
    for algorithm, value in item.checksums.items():
        writer.leaf(f"Checksum{algorithm.upper()}", value)
    if item.checksums and checksum_type:
        writer.leaf("ChecksumType", checksum_type)


def write_owner(writer: Writer, owner_id: str, display_name: str, element: str = "Owner") -> None:
    """The elements of an owner or an initiator."""
    writer.open(element)
    writer.leaf("ID", owner_id)
    writer.leaf("DisplayName", display_name)
    writer.close()
