"""PutObject: one object, whole, in one request.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from __future__ import annotations

from dataclasses import replace

from ironbucket.errors import EntityTooLarge, InvalidArgument
from ironbucket.node.body import Expected
from ironbucket.s3 import attributes, conditions, object_lock
from ironbucket.s3.call import Call
from ironbucket.s3.response import Response, empty, expiration_headers, write_headers

#: bytes of one PUT, one part, or one copied object
MAX_PUT = 5 << 30


def put(call: Call) -> Response:
    """Store the body under the key and answer with its ETag, version id and checksums."""
    headers = call.request.headers
    if "partNumber" in call.request.query:  # a part whose upload id was lost must not become the object
        raise InvalidArgument(
            "This operation does not accept partNumber without uploadId",
            ArgumentName="partNumber",
            ArgumentValue=call.request.query["partNumber"],
        )
    described = attributes.read(headers, call.owner_id)
    if lock := object_lock.of_write(headers, digest=True):
        described = replace(described, extra={**described.extra, **lock})
    expected = call.expected()
    check_size(expected)
    version = call.node.objects.put(
        call.bucket, call.key, call.body(), expected, described, conditions.of_write(headers)
    )
    return empty(200, write_headers(version) + expiration_headers(version))


def check_size(expected: Expected) -> None:
    """Raise EntityTooLarge before a byte is read of what cannot be stored in one request."""
    if expected.length is not None and expected.length > MAX_PUT:
        raise EntityTooLarge(ProposedSize=str(expected.length), MaxSizeAllowed=str(MAX_PUT))
