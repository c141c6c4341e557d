"""Which bytes of an object a request asks for: Range, x-amz-copy-source-range.

Sources: RFC 9110 14, https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (one range a request),
https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html.
"""

from __future__ import annotations

import re

from ironbucket.errors import InvalidArgument, InvalidRange

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,99})\s*-\s*(\d{0,99})", re.ASCII | re.IGNORECASE)
_SOURCE_RANGE = re.compile(r"bytes=(\d{1,99})-(\d{1,99})", re.ASCII)


def parse(header: str, size: int) -> tuple[int, int] | None:
    """(start, length) of a Range header in an object of `size` bytes; None when the whole is to be sent.

    A header that is malformed, names several ranges or another unit is ignored, as RFC 9110 asks and AWS does.
    Raises InvalidRange when no byte of the object is in the range.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        start, end = max(size - int(last), 0), size - 1
        if int(last) == 0:
            start = size
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size:
        raise InvalidRange(RangeRequested=header, ActualObjectSize=str(size))
    return start, end - start + 1


def parse_source(header: str, size: int) -> tuple[int, int]:
    """(start, length) of x-amz-copy-source-range: bytes=first-last, both given and inside the source.

    Raises InvalidArgument, also when it reaches beyond the source's `size`.
    """
    match = _SOURCE_RANGE.fullmatch(header)
    if match is None or int(match[1]) > int(match[2]):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the"
            " zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    first, last = int(match[1]), int(match[2])
    if last >= size:
        raise InvalidArgument(
            f"Range specified is not valid for source object of size: {size}",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return first, last - first + 1
