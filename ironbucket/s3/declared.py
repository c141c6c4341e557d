"""What a write's headers declare about its body: length, digests, checksums, trailers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
and https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from __future__ import annotations

import re

from ironbucket import checksums
from ironbucket.errors import InvalidArgument, InvalidDigest, InvalidRequest, MissingContentLength
from ironbucket.node.body import Expected
from ironbucket.s3.request import Request
from ironbucket.s3.sigv4 import STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER, UNSIGNED, Authentication

_CHECKSUM = "x-amz-checksum-"
_STREAMS = frozenset((STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER))
#: headers that begin like a checksum and are none
_NO_CHECKSUMS = frozenset((_CHECKSUM + "algorithm", _CHECKSUM + "mode", _CHECKSUM + "type"))
_NUMBER = re.compile(r"[0-9]{1,18}").fullmatch


def expected(request: Request, authentication: Authentication) -> Expected:
    """What must hold of the body. Raises MissingContentLength, InvalidDigest, InvalidRequest, InvalidArgument."""
    headers, mode = request.headers, authentication.mode
    if mode in _STREAMS:
        length: int | None = decoded_length(request)
    else:
        length = _content_length(request)
        if mode == UNSIGNED and "aws-chunked" in headers.get("content-encoding", ""):
            raise InvalidArgument(
                "aws-chunked encoding is not supported when x-amz-content-sha256 UNSIGNED-PAYLOAD is supplied.",
                ArgumentName="Content-Encoding",
                ArgumentValue=headers["content-encoding"],
            )
    declared = declared_checksums(request)
    announced = ""
    if mode in (STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER):
        for name in trailer_names(request):
            announced = name.removeprefix(_CHECKSUM)
    if declared and announced:
        raise InvalidRequest("Expecting a single x-amz-checksum- header")
    _check_algorithm(request, next(iter(declared), announced))
    return Expected(
        length=length,
        md5=content_md5(request),
        sha256=None if mode in _STREAMS or mode == UNSIGNED else mode,
        checksums=declared,
        trailer_checksum=announced or None,
    )


def _content_length(request: Request) -> int | None:
    """Content-Length; None for HTTP's own chunked coding, whose end says where the body ends."""
    text = request.headers.get("content-length")
    if text is None:
        if "transfer-encoding" in request.headers:
            return None
        raise MissingContentLength
    if not _NUMBER(text):
        raise InvalidArgument("Content-Length is not a number.", ArgumentName="Content-Length", ArgumentValue=text)
    return int(text)


def decoded_length(request: Request) -> int:
    """x-amz-decoded-content-length, which every aws-chunked body must have."""
    text = request.headers.get("x-amz-decoded-content-length")
    if text is None:
        raise MissingContentLength
    if not _NUMBER(text):
        raise InvalidArgument(
            "x-amz-decoded-content-length is not a number.",
            ArgumentName="x-amz-decoded-content-length",
            ArgumentValue=text,
        )
    return int(text)


def content_md5(request: Request) -> bytes | None:
    """Content-MD5, decoded."""
    text = request.headers.get("content-md5")
    if text is None:
        return None
    if not checksums.is_valid("md5", text):
        raise InvalidDigest("The Content-MD5 you specified was invalid.", **{"Content-MD5": text})
    return checksums.decode(text)


def declared_checksums(request: Request) -> dict[str, str]:
    """The one x-amz-checksum-* header, as algorithm -> base64; empty if there is none."""
    declared: dict[str, str] = {}
    for name, value in request.headers.items():
        if name.startswith(_CHECKSUM) and name not in _NO_CHECKSUMS:
            algorithm = name.removeprefix(_CHECKSUM)
            if algorithm not in checksums.ALGORITHMS:  # to ignore it would be to promise what is not done
                raise InvalidRequest(f"The checksum algorithm of the header {name} is not supported.")
            declared[algorithm] = value
    if len(declared) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    for algorithm, value in declared.items():
        if not checksums.is_valid(algorithm, value):
            raise InvalidRequest(f"Value for {_CHECKSUM}{algorithm} header is invalid.")
    return declared


def trailer_names(request: Request) -> frozenset[str]:
    """The names in x-amz-trailer: at most one, a checksum."""
    names = frozenset(name.strip().lower() for name in request.headers.get("x-amz-trailer", "").split(",")) - {""}
    for name in names:
        if name.removeprefix(_CHECKSUM) not in checksums.ALGORITHMS or not name.startswith(_CHECKSUM):
            raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    if len(names) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    return names


def _check_algorithm(request: Request, algorithm: str) -> None:
    """x-amz-sdk-checksum-algorithm must name the checksum that is there."""
    named = request.headers.get("x-amz-sdk-checksum-algorithm")
    if named is None:
        return
    if named.lower() not in checksums.ALGORITHMS:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if not algorithm:
        raise InvalidRequest(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found."
        )
    if named.lower() != algorithm:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")


def content_encoding(value: str | None) -> str | None:
    """The Content-Encoding to store: `value` without aws-chunked, which is framing; None when nothing is left."""
    if value is None or "aws-chunked" not in value.lower():
        return value
    kept = [coding.strip() for coding in value.split(",") if coding.strip().lower() not in ("aws-chunked", "")]
    return ",".join(kept) or None
