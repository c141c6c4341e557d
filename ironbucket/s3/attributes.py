"""What a write's headers say about the object: content headers, user metadata, storage class, tags.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html (2 KiB; RFC 2047), RFC 2047.
"""

from __future__ import annotations

import base64
import re
from binascii import Error as BinasciiError
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header

from ironbucket import errors
from ironbucket.errors import (
    InvalidArgument,
    InvalidStorageClass,
    MetadataTooLarge,
)
from ironbucket.node.body import Attributes
from ironbucket.s3 import acl, chunked, tags

#: bytes of user metadata, names and values together
MAX_METADATA = 2048

STORAGE_CLASSES = frozenset(
    (
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "GLACIER_IR",
        "DEEP_ARCHIVE",
    )
)

#: stored as the client sent them and sent back likewise
CONTENT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
)

_META = "x-amz-meta-"

#: a header's name (RFC 9110 5.1), and a redirect's target without control characters
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_REDIRECT = re.compile(r"(?:/|https?://)[^\x00-\x1f\x7f]*")

#: headers that promise what is not built: to accept them silently would be to break the promise
_UNBUILT = frozenset(
    (
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-algorithm",
        "x-amz-write-offset-bytes",
    )
)


def read(headers: Mapping[str, str], owner: str) -> Attributes:
    """Everything a PUT, a POST ?uploads or a copy with REPLACE declares. Raises the S3 errors of bad headers."""
    refuse_unbuilt(headers)
    return Attributes(
        content_type=headers.get("content-type") or None,
        headers=content_headers(headers),
        metadata=metadata(headers),
        storage_class=storage_class(headers),
        tags=tags.from_header(headers["x-amz-tagging"]) if "x-amz-tagging" in headers else None,
        owner=owner,
        extra={"acl": grants} if (grants := acl.of_headers(headers, owner)) else {},
    )


def refuse_unbuilt(headers: Mapping[str, str]) -> None:
    """Raise NotImplemented for a header whose promise this server cannot keep."""
    if not _UNBUILT.isdisjoint(headers):
        raise errors.NotImplemented(Header=next(name for name in headers if name in _UNBUILT))


def content_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Cache-Control and its kin, as sent; Content-Encoding without aws-chunked."""
    found = {name: headers[name] for name in CONTENT_HEADERS if name in headers}
    if encoding := chunked.content_encoding(headers.get("content-encoding")):
        found["content-encoding"] = encoding
    redirect = found.get("x-amz-website-redirect-location")
    if redirect is not None and not _REDIRECT.fullmatch(redirect):
        raise InvalidArgument(
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
            ArgumentName="x-amz-website-redirect-location",
            ArgumentValue=redirect,
        )
    return found


def storage_class(headers: Mapping[str, str]) -> str | None:
    """The storage class, which is kept and returned. Raises InvalidStorageClass."""
    name = headers.get("x-amz-storage-class")
    if name is not None and name not in STORAGE_CLASSES:
        raise InvalidStorageClass(StorageClassRequested=name)
    return name


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """User metadata, decoded. Raises MetadataTooLarge."""
    found: dict[str, str] = {}
    size = 0
    for name in [name for name in headers if name.startswith(_META)]:
        value = headers[name]
        if not _NAME.fullmatch(name):  # from the query of a presigned URL, where any character can stand
            raise InvalidArgument("Invalid metadata name.", ArgumentName="x-amz-meta", ArgumentValue=name)
        text = decode_value(value)
        found[name[len(_META) :]] = text
        size += len(name) - len(_META) + len(text.encode())
    if size > MAX_METADATA:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(MAX_METADATA))
    return found


def decode_value(value: str) -> str:
    """A header's value as text: RFC 2047 words decoded; raw bytes taken as UTF-8 where they are, else as latin-1."""
    if not value.isascii():
        try:
            return value.encode("latin-1").decode()
        except UnicodeDecodeError:
            return value
    if "=?" not in value:
        return value
    try:
        words = decode_header(value)
        return "".join(word if isinstance(word, str) else word.decode(charset or "ascii") for word, charset in words)
    except (HeaderParseError, BinasciiError, LookupError, UnicodeDecodeError):
        return value  # it only looked like an encoded word


def encode_value(value: str) -> str:
    """Text as a header's value: as it is when printable ASCII, else one RFC 2047 word, as S3 answers."""
    if value.isascii() and value.isprintable():
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="
