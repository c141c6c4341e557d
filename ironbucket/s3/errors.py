"""The one table that translates an error into an HTTP status, and the document that S3 clients read.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Mapping

from ironbucket.errors import S3Error

STATUS: Mapping[type[S3Error], int] = {}


def status(error: S3Error) -> int:
    """The HTTP status of an error."""
    return STATUS.get(type(error), 500)


def document(error: S3Error, resource: str, request_id: str) -> bytes:
    """The XML error document."""
    raise NotImplementedError
