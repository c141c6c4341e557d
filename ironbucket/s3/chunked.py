"""The body of a write as the client framed it: plain, or aws-chunked with signatures and trailers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html
"""

from __future__ import annotations

from ironbucket.node.body import Body, Expected
from ironbucket.s3.request import Request
from ironbucket.s3.sigv4 import Authentication


def body(request: Request, authentication: Authentication) -> Body:
    """The decoded body."""
    raise NotImplementedError


def expected(request: Request, authentication: Authentication) -> Expected:
    """What the headers declare. Raises MissingContentLength, InvalidDigest, InvalidRequest, InvalidArgument."""
    raise NotImplementedError


def content_encoding(value: str | None) -> str | None:
    """The Content-Encoding to store: `value` without aws-chunked; None when nothing is left."""
    raise NotImplementedError
