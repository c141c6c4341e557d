"""What a request line and its headers name: bucket, key, query. Percent-decoded once, from the target as sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ironbucket.s3.credentials import Identity


class Request:
    """One S3 request."""

    __slots__ = (
        "bucket",
        "environ",
        "headers",
        "host",
        "identity",
        "key",
        "method",
        "query",
        "raw_path",
        "raw_query",
        "request_id",
        "resource",
    )

    method: str
    bucket: str  # "" for the service
    key: str  # "" for the bucket
    query: dict[str, str]  # decoded; the first of a repeated name wins; no "=" gives ""
    raw_path: str  # as sent, latin-1, never decoded
    raw_query: str
    headers: Mapping[str, str]  # lower-case names; latin-1 values; repeated ones joined by ","
    host: str
    resource: str  # decoded path, for error documents
    request_id: str
    identity: Identity | None  # set once authenticated
    environ: dict[str, Any]

    @classmethod
    def parse(cls, environ: dict[str, Any], domains: Sequence[str] = ()) -> Request:
        """Raises InvalidURI and KeyTooLongError. `domains`: base names of virtual-host style, without port."""
        raise NotImplementedError
