"""Tags of buckets.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html
"""

from __future__ import annotations

from ironbucket.errors import NoSuchTagSet
from ironbucket.s3 import tags
from ironbucket.s3.call import Call
from ironbucket.s3.response import Response, empty, xml


def get(call: Call) -> Response:
    """GetBucketTagging. Raises NoSuchTagSet."""
    found = call.node.buckets.get(call.bucket).configuration.get("tagging")
    if not found:
        raise NoSuchTagSet(BucketName=call.bucket)
    return xml(tags.document(found))


def put(call: Call) -> Response:
    """PutBucketTagging: the whole set of tags is replaced."""
    new = tags.from_document(call.document("Tagging"), tags.MAX_BUCKET_TAGS)
    call.node.buckets.configure(call.bucket, "tagging", new or None)
    return empty(204)


def delete(call: Call) -> Response:
    """DeleteBucketTagging."""
    call.node.buckets.configure(call.bucket, "tagging", None)
    return empty(204)
