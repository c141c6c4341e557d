"""Tags: their rules, and the two forms in which clients send them, a header and a document.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from ironbucket.errors import InvalidArgument, InvalidTag, MalformedXML
from ironbucket.s3.xml import Element, Writer

MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50

#: letters, digits and spaces of any script, and these signs
_ALLOWED = re.compile(r"(?:[\w+\-=.:/@]|[^\S\t\n\r\f\v])*")


def from_header(text: str) -> dict[str, str]:
    """The tags of x-amz-tagging: URL query parameters. Raises InvalidArgument and InvalidTag."""
    pairs = []
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        try:
            pairs.append((unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")))
        except UnicodeDecodeError:
            raise _bad_header(text) from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise _bad_header(text)
    return validated(pairs)


def _bad_header(text: str) -> InvalidArgument:
    return InvalidArgument(
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name"
        " duplicates.",
        ArgumentName="x-amz-tagging",
        ArgumentValue=text,
    )


def from_document(root: Element, maximum: int = MAX_OBJECT_TAGS) -> dict[str, str]:
    """The tags of a Tagging document. Raises MalformedXML and InvalidTag."""
    tag_set = root.find("TagSet")
    if tag_set is None:
        raise MalformedXML
    pairs = []
    for tag in tag_set:
        if tag.name != "Tag":
            raise MalformedXML
        pairs.append((tag.value("Key"), tag.value("Value")))
    return validated(pairs, maximum)


def validated(pairs: Iterable[tuple[str, str]], maximum: int = MAX_OBJECT_TAGS) -> dict[str, str]:
    """The tags as a mapping. Raises InvalidTag when there are too many, or one is too long, twice there or reserved."""
    tags: dict[str, str] = {}
    for name, value in pairs:
        if not 1 <= len(name) <= 128 or not _ALLOWED.fullmatch(name):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=name)
        if len(value) > 256 or not _ALLOWED.fullmatch(value):
            raise InvalidTag("The TagValue you have provided is invalid", TagKey=name, TagValue=value)
        if name.startswith("aws:"):
            raise InvalidTag("System tags cannot be added/updated by requester", TagKey=name)
        if name in tags:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=name)
        tags[name] = value
    if len(tags) > maximum:
        what = "Object" if maximum == MAX_OBJECT_TAGS else "Bucket"
        raise InvalidTag(f"{what} tags cannot be greater than {maximum}")
    return tags


def document(tags: Mapping[str, str]) -> Writer:
    """The Tagging document."""
    writer = Writer("Tagging")
    writer.open("TagSet")
    for name, value in tags.items():
        writer.open("Tag")
        writer.leaf("Key", name)
        writer.leaf("Value", value)
        writer.close()
    writer.close()
    return writer
