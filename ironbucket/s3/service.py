"""ListBuckets.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
"""

from __future__ import annotations

from ironbucket.s3 import tokens
from ironbucket.s3.call import Call
from ironbucket.s3.response import Response, iso_date, write_owner, xml
from ironbucket.s3.xml import Writer

MAX_BUCKETS = 10_000


def list_buckets(call: Call) -> Response:
    """The buckets, in order of their names, a page at a time."""
    query = call.request.query
    limit = call.integer("max-buckets", MAX_BUCKETS, 1, MAX_BUCKETS)
    prefix = query.get("prefix", "")
    token = query.get("continuation-token", "")
    region = call.node.settings.region
    buckets = []
    if query.get("bucket-region", "") in ("", region):
        buckets = call.node.buckets.list(prefix, tokens.decode(token) if token else "", limit + 1)
    writer = Writer("ListAllMyBucketsResult")
    write_owner(writer, call.owner_id, call.authentication.identity.display_name)
    writer.open("Buckets")
    for bucket in buckets[:limit]:
        writer.open("Bucket")
        writer.leaf("Name", bucket.name)
        writer.leaf("CreationDate", iso_date(bucket.created.ms))
        writer.leaf("BucketRegion", region)
        writer.close()
    writer.close()
    if prefix:
        writer.leaf("Prefix", prefix)
    if len(buckets) > limit:
        writer.leaf("ContinuationToken", tokens.encode(buckets[limit - 1].name))
    return xml(writer)
