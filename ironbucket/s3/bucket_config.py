"""The configuration of a bucket: what clients read unasked, answered from the bucket's record.

What is not built answers as AWS does for a bucket that never had it: with the empty document, or the error that says
so. To set it is NotImplemented; to delete what was never there succeeds.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ironbucket import errors
from ironbucket.errors import (
    NoSuchConfiguration,
    NoSuchWebsiteConfiguration,
    ReplicationConfigurationNotFoundError,
    S3Error,
    ServerSideEncryptionConfigurationNotFoundError,
)
from ironbucket.s3.call import Call
from ironbucket.s3.response import Response, empty, xml
from ironbucket.s3.xml import Writer

Handler = Callable[[Call], Response]

#: sub-resource -> the error of a bucket that has none
ABSENT: Mapping[str, type[S3Error]] = {
    "encryption": ServerSideEncryptionConfigurationNotFoundError,
    "website": NoSuchWebsiteConfiguration,
    "replication": ReplicationConfigurationNotFoundError,
}

#: sub-resource -> the root of the document of a bucket that has none
EMPTY: Mapping[str, str] = {
    "logging": "BucketLoggingStatus",
    "notification": "NotificationConfiguration",
    "accelerate": "AccelerateConfiguration",
}

#: sub-resource -> the root of a list of configurations by id
LISTS: Mapping[str, str] = {
    "analytics": "ListBucketAnalyticsConfigurationsResult",
    "intelligent-tiering": "ListBucketIntelligentTieringConfigurationsOutput",
    "inventory": "ListInventoryConfigurationsResult",
    "metrics": "ListMetricsConfigurationsResult",
}


def absent(error: type[S3Error]) -> Handler:
    """The handler that says a bucket has no such configuration."""

    def read(call: Call) -> Response:
        call.node.buckets.get(call.bucket)
        raise error(BucketName=call.bucket)

    return read


def empty_document(root: str) -> Handler:
    """The handler that answers with an empty document."""

    def read(call: Call) -> Response:
        call.node.buckets.get(call.bucket)
        return xml(Writer(root))

    return read


def empty_list(root: str) -> Handler:
    """The handler for a list of configurations, or the one that the parameter `id` names."""

    def read(call: Call) -> Response:
        call.node.buckets.get(call.bucket)
        if "id" in call.request.query:
            raise NoSuchConfiguration
        writer = Writer(root)
        writer.leaf("IsTruncated", False)
        return xml(writer)

    return read


def not_built(call: Call) -> Response:
    """501, once the bucket is known to exist."""
    call.node.buckets.get(call.bucket)
    raise errors.NotImplemented


def delete_absent(call: Call) -> Response:
    """Deleting a configuration that was never there succeeds."""
    call.node.buckets.get(call.bucket)
    return empty(204)


def request_payment(call: Call) -> Response:
    """GetBucketRequestPayment: the owner pays."""
    call.node.buckets.get(call.bucket)
    writer = Writer("RequestPaymentConfiguration")
    writer.leaf("Payer", "BucketOwner")
    return xml(writer)
