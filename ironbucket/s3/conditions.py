"""Preconditions: those of reads and copy sources, decided here, and those of writes, decided at the commit.

Sources: RFC 9110 13 (the order of evaluation), https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html,
conditional-writes.html, conditional-deletes.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from ironbucket.errors import InvalidArgument, PreconditionFailed
from ironbucket.node.body import Conditions
from ironbucket.s3.call import parse_integer
from ironbucket.store.model import Version

NONE = Conditions()

_READ = ("if-match", "if-unmodified-since", "if-none-match", "if-modified-since")
_SOURCE = "x-amz-copy-source-"


@lru_cache(maxsize=256)
def parse_date(text: str) -> int | None:
    """An HTTP date as Unix seconds, ISO 8601 too as AWS's tools send it; None when it is not a date."""
    try:
        moment = datetime.fromisoformat(text) if text[:1].isdecimal() else parsedate_to_datetime(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def etag_matches(header: str, etag: str) -> bool:
    """Whether a list of entity tags (quoted, bare, weak, or "*") names `etag`."""
    for candidate in header.split(","):
        text = candidate.strip().removeprefix("W/").strip('"')
        if text in ("*", etag):
            return True
    return False


def check_read(headers: Mapping[str, str], version: Version) -> bool:
    """False when the answer is 304 Not Modified. Raises PreconditionFailed, which is the answer 412."""
    match, unmodified, none_match, modified = (headers.get(name) for name in _READ)
    second = version.stamp.ms // 1000
    if match is not None:
        if not etag_matches(match, version.etag):
            raise PreconditionFailed(Condition="If-Match")
    elif unmodified is not None and (limit := parse_date(unmodified)) is not None and second > limit:
        raise PreconditionFailed(Condition="If-Unmodified-Since")
    if none_match is not None:
        return not etag_matches(none_match, version.etag)
    if modified is not None and (limit := parse_date(modified)) is not None:
        return second > limit
    return True


def check_source(headers: Mapping[str, str], source: Version) -> None:
    """The conditions on a copy's source: those of a read, except that 304 becomes 412. Raises PreconditionFailed."""
    found = {name: headers[_SOURCE + name] for name in _READ if _SOURCE + name in headers}
    if found and not check_read(found, source):
        raise PreconditionFailed(
            Condition=f"{_SOURCE}{'if-none-match' if 'if-none-match' in found else 'if-modified-since'}"
        )


def of_write(headers: Mapping[str, str]) -> Conditions:
    """If-Match and If-None-Match of a PUT, a copy or a completion."""
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if match is None and none_match is None:
        return NONE
    return Conditions(if_match=_bare(match), if_none_match=_bare(none_match))


def of_delete(headers: Mapping[str, str]) -> Conditions:
    """If-Match, x-amz-if-match-size and x-amz-if-match-last-modified-time of a DELETE. Raises InvalidArgument."""
    return delete_conditions(
        headers.get("if-match"),
        headers.get("x-amz-if-match-size"),
        headers.get("x-amz-if-match-last-modified-time"),
    )


def delete_conditions(etag: str | None, size: str | None, modified: str | None) -> Conditions:
    """The conditions of one delete, from text. Raises InvalidArgument."""
    if etag is None and size is None and modified is None:
        return NONE
    seconds = None
    if modified is not None and (seconds := parse_date(modified)) is None:
        raise InvalidArgument(ArgumentName="x-amz-if-match-last-modified-time", ArgumentValue=modified)
    return Conditions(
        if_match=_bare(etag),
        if_match_size=None if size is None else parse_integer("x-amz-if-match-size", size, 0, 2**47),
        if_match_last_modified=None if seconds is None else seconds * 1000,
    )


def _bare(etag: str | None) -> str | None:
    return None if etag is None else etag.strip().strip('"')
