"""Which operation a request asks for: a table of method, place and sub-resource.

A place is "/" (the service), "/bucket" or "/bucket/key", whether the bucket came in the path or in the host name; a
sub-resource is the query parameter that selects an operation. Bottle's router holds the table, each row as one static
rule such as "/bucket/key?uploads".

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html and, for the
actions, https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ironbucket.s3 import (
    access_config,
    bucket,
    bucket_config,
    bucket_lifecycle,
    bucket_tagging,
    copy,
    cors,
    listing,
    listing_versions,
    multipart,
    multipart_listing,
    object_config,
    object_delete,
    object_get,
    object_lock,
    object_put,
    post_object,
    service,
    versioning,
)
from ironbucket.s3.call import Call
from ironbucket.s3.request import Request
from ironbucket.s3.response import Response

SERVICE, BUCKET, KEY = "/", "/bucket", "/bucket/key"


class Operation(NamedTuple):
    """One S3 operation: S3's name for it, where it is found, the IAM action that permits it, and what does it."""

    name: str
    method: str
    place: str
    subresource: str  # "" for none
    action: str
    handler: Callable[[Call], Response]

    @property
    def rule(self) -> str:
        return rule(self.place, self.subresource)


def rule(place: str, subresource: str) -> str:
    """How the router knows a place and a sub-resource."""
    return f"{place}?{subresource}" if subresource else place


OPERATIONS = (
    # name, method, place, sub-resource, action, handler
    Operation("ListBuckets", "GET", SERVICE, "", "s3:ListAllMyBuckets", service.list_buckets),
    # the bucket
    Operation("CreateBucket", "PUT", BUCKET, "", "s3:CreateBucket", bucket.create),
    Operation("HeadBucket", "HEAD", BUCKET, "", "s3:ListBucket", bucket.head),
    Operation("DeleteBucket", "DELETE", BUCKET, "", "s3:DeleteBucket", bucket.delete),
    Operation("GetBucketLocation", "GET", BUCKET, "location", "s3:GetBucketLocation", bucket.location),
    Operation("ListObjects", "GET", BUCKET, "", "s3:ListBucket", listing.list_v1),
    Operation("ListObjectsV2", "GET", BUCKET, "list-type", "s3:ListBucket", listing.list_v2),
    Operation("ListObjectVersions", "GET", BUCKET, "versions", "s3:ListBucketVersions", listing_versions.list_versions),
    Operation(
        "ListMultipartUploads",
        "GET",
        BUCKET,
        "uploads",
        "s3:ListBucketMultipartUploads",
        multipart_listing.list_uploads,
    ),
    Operation("DeleteObjects", "POST", BUCKET, "delete", "s3:DeleteObject", object_delete.delete_many),
    Operation("PostObject", "POST", BUCKET, "", "s3:PutObject", post_object.post),
    # the bucket's configuration
    Operation("GetBucketVersioning", "GET", BUCKET, "versioning", "s3:GetBucketVersioning", versioning.get),
    Operation("PutBucketVersioning", "PUT", BUCKET, "versioning", "s3:PutBucketVersioning", versioning.put),
    Operation("GetBucketTagging", "GET", BUCKET, "tagging", "s3:GetBucketTagging", bucket_tagging.get),
    Operation("PutBucketTagging", "PUT", BUCKET, "tagging", "s3:PutBucketTagging", bucket_tagging.put),
    Operation("DeleteBucketTagging", "DELETE", BUCKET, "tagging", "s3:PutBucketTagging", bucket_tagging.delete),
    Operation(
        "GetBucketLifecycleConfiguration",
        "GET",
        BUCKET,
        "lifecycle",
        "s3:GetLifecycleConfiguration",
        bucket_lifecycle.get,
    ),
    Operation(
        "PutBucketLifecycleConfiguration",
        "PUT",
        BUCKET,
        "lifecycle",
        "s3:PutLifecycleConfiguration",
        bucket_lifecycle.put,
    ),
    Operation(
        "DeleteBucketLifecycle", "DELETE", BUCKET, "lifecycle", "s3:PutLifecycleConfiguration", bucket_lifecycle.delete
    ),
    Operation("GetBucketAcl", "GET", BUCKET, "acl", "s3:GetBucketAcl", access_config.get_bucket_acl),
    Operation("PutBucketAcl", "PUT", BUCKET, "acl", "s3:PutBucketAcl", access_config.put_bucket_acl),
    Operation(
        "GetObjectLockConfiguration",
        "GET",
        BUCKET,
        "object-lock",
        "s3:GetBucketObjectLockConfiguration",
        object_lock.get_configuration,
    ),
    Operation(
        "PutObjectLockConfiguration",
        "PUT",
        BUCKET,
        "object-lock",
        "s3:PutBucketObjectLockConfiguration",
        object_lock.put_configuration,
    ),
    Operation(
        "GetBucketRequestPayment",
        "GET",
        BUCKET,
        "requestPayment",
        "s3:GetBucketRequestPayment",
        bucket_config.request_payment,
    ),
    # the object
    Operation("GetObject", "GET", KEY, "", "s3:GetObject", object_get.get),
    Operation("HeadObject", "HEAD", KEY, "", "s3:GetObject", object_get.head),
    Operation("PutObject", "PUT", KEY, "", "s3:PutObject", object_put.put),
    Operation("CopyObject", "PUT", KEY, "copy", "s3:PutObject", copy.copy),
    Operation("DeleteObject", "DELETE", KEY, "", "s3:DeleteObject", object_delete.delete),
    Operation("GetObjectAttributes", "GET", KEY, "attributes", "s3:GetObjectAttributes", object_config.get_attributes),
    Operation("GetObjectAcl", "GET", KEY, "acl", "s3:GetObjectAcl", access_config.get_object_acl),
    Operation("PutObjectAcl", "PUT", KEY, "acl", "s3:PutObjectAcl", access_config.put_object_acl),
    Operation("GetObjectTagging", "GET", KEY, "tagging", "s3:GetObjectTagging", object_config.get_tagging),
    Operation("PutObjectTagging", "PUT", KEY, "tagging", "s3:PutObjectTagging", object_config.put_tagging),
    Operation("DeleteObjectTagging", "DELETE", KEY, "tagging", "s3:DeleteObjectTagging", object_config.delete_tagging),
    Operation("GetObjectRetention", "GET", KEY, "retention", "s3:GetObjectRetention", object_lock.get_retention),
    Operation("PutObjectRetention", "PUT", KEY, "retention", "s3:PutObjectRetention", object_lock.put_retention),
    Operation("GetObjectLegalHold", "GET", KEY, "legal-hold", "s3:GetObjectLegalHold", object_lock.get_legal_hold),
    Operation("PutObjectLegalHold", "PUT", KEY, "legal-hold", "s3:PutObjectLegalHold", object_lock.put_legal_hold),
    Operation("GetObjectTorrent", "GET", KEY, "torrent", "s3:GetObjectTorrent", object_config.not_built),
    Operation("RestoreObject", "POST", KEY, "restore", "s3:RestoreObject", object_config.not_built),
    Operation("SelectObjectContent", "POST", KEY, "select", "s3:GetObject", object_config.not_built),
    # uploads in parts
    Operation("CreateMultipartUpload", "POST", KEY, "uploads", "s3:PutObject", multipart.create),
    Operation("UploadPart", "PUT", KEY, "uploadId", "s3:PutObject", multipart.upload_part),
    Operation("UploadPartCopy", "PUT", KEY, "uploadId&copy", "s3:PutObject", multipart.upload_part_copy),
    Operation("CompleteMultipartUpload", "POST", KEY, "uploadId", "s3:PutObject", multipart.complete),
    Operation("AbortMultipartUpload", "DELETE", KEY, "uploadId", "s3:AbortMultipartUpload", multipart.abort),
    Operation("ListParts", "GET", KEY, "uploadId", "s3:ListMultipartUploadParts", multipart_listing.list_parts),
)

#: operations that find out in their body what they are about, and ask for that themselves
ASK_THEMSELVES = frozenset(("DeleteObjects", "PostObject"))

#: what can be set: (sub-resource, method) -> what does it
_BUILT: Mapping[tuple[str, str], Callable[[Call], Response]] = {
    ("policy", "GET"): access_config.get_policy,
    ("policy", "PUT"): access_config.put_policy,
    ("policy", "DELETE"): access_config.delete_policy,
    ("policyStatus", "GET"): access_config.policy_status,
    ("publicAccessBlock", "GET"): access_config.get_block,
    ("publicAccessBlock", "PUT"): access_config.put_block,
    ("publicAccessBlock", "DELETE"): access_config.delete_block,
    ("ownershipControls", "GET"): access_config.get_ownership,
    ("ownershipControls", "PUT"): access_config.put_ownership,
    ("ownershipControls", "DELETE"): access_config.delete_ownership,
    ("cors", "GET"): cors.get,
    ("cors", "PUT"): cors.put,
    ("cors", "DELETE"): cors.delete,
}

#: sub-resource -> (what AWS calls the operations after Get, Put and Delete, what the actions are called)
_CONFIGURATIONS = {
    "policy": ("BucketPolicy", "BucketPolicy"),
    "policyStatus": ("BucketPolicyStatus", "BucketPolicyStatus"),
    "cors": ("BucketCors", "BucketCORS"),
    "encryption": ("BucketEncryption", "EncryptionConfiguration"),
    "website": ("BucketWebsite", "BucketWebsite"),
    "replication": ("BucketReplication", "ReplicationConfiguration"),
    "ownershipControls": ("BucketOwnershipControls", "BucketOwnershipControls"),
    "publicAccessBlock": ("PublicAccessBlock", "BucketPublicAccessBlock"),
    "logging": ("BucketLogging", "BucketLogging"),
    "notification": ("BucketNotificationConfiguration", "BucketNotification"),
    "accelerate": ("BucketAccelerateConfiguration", "AccelerateConfiguration"),
    "analytics": ("BucketAnalyticsConfiguration", "AnalyticsConfiguration"),
    "intelligent-tiering": ("BucketIntelligentTieringConfiguration", "IntelligentTieringConfiguration"),
    "inventory": ("BucketInventoryConfiguration", "InventoryConfiguration"),
    "metrics": ("BucketMetricsConfiguration", "MetricsConfiguration"),
    "requestPayment": ("BucketRequestPayment", "BucketRequestPayment"),
}

#: configurations that AWS has no DELETE for
_UNDELETABLE = frozenset(("policyStatus", "logging", "notification", "accelerate", "requestPayment"))


def unbuilt_configurations() -> Iterator[Operation]:
    """The operations on configurations. Of one that nothing can set, reads find nothing, writes are NotImplemented."""
    for subresource, (name, action) in _CONFIGURATIONS.items():
        read = _reader(subresource)
        if read is not None:
            yield Operation(f"Get{name}", "GET", BUCKET, subresource, f"s3:Get{action}", read)
        if subresource != "policyStatus":
            write = _BUILT.get((subresource, "PUT"), bucket_config.not_built)
            yield Operation(f"Put{name}", "PUT", BUCKET, subresource, f"s3:Put{action}", write)
        if subresource not in _UNDELETABLE:
            # S3 asks for the Put action here, except for a few that have their own
            verb = "Delete" if subresource in ("policy", "website") else "Put"
            handler = _BUILT.get((subresource, "DELETE"), bucket_config.delete_absent)
            yield Operation(f"Delete{name}", "DELETE", BUCKET, subresource, f"s3:{verb}{action}", handler)


def _reader(subresource: str) -> Callable[[Call], Response] | None:
    if (subresource, "GET") in _BUILT:
        return _BUILT[subresource, "GET"]
    if subresource in bucket_config.ABSENT:
        return bucket_config.absent(bucket_config.ABSENT[subresource])
    if subresource in bucket_config.EMPTY:
        return bucket_config.empty_document(bucket_config.EMPTY[subresource])
    if subresource in bucket_config.LISTS:
        return bucket_config.empty_list(bucket_config.LISTS[subresource])
    return None  # it has a row of its own


ALL = (*OPERATIONS, *unbuilt_configurations())

#: what selects an operation; any other parameter is one of the operation's own, or nobody's
SUBRESOURCES = frozenset(part for operation in ALL for part in operation.subresource.split("&")) - {"", "copy"}


def route(request: Request) -> str:
    """The rule of the operation that a request asks for, whether or not there is such an operation."""
    place = SERVICE if not request.bucket else KEY if request.key else BUCKET
    # a parameter such as partNumber or prefix never selects; of two that do, the first sent wins
    subresource = next((name for name in request.query if name in SUBRESOURCES), "") if request.query else ""
    if request.method == "PUT" and request.key and "x-amz-copy-source" in request.headers:
        subresource = "uploadId&copy" if subresource == "uploadId" else subresource or "copy"
    if subresource == "list-type" and request.query["list-type"] != "2":
        subresource = ""
    return rule(place, subresource)
