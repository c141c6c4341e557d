"""The operations on what decides about access: ACLs, bucket policies, public access blocks, ownership controls.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html, API_PutBucketAcl.html,
API_PutPublicAccessBlock.html, API_PutBucketOwnershipControls.html.
"""

from __future__ import annotations

from typing import Any

from ironbucket.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    InvalidBucketAclWithObjectOwnership,
    MalformedACLError,
    MalformedPolicy,
    MalformedXML,
    MissingSecurityHeader,
    NoSuchBucketPolicy,
    NoSuchPublicAccessBlockConfiguration,
    OwnershipControlsNotFoundError,
    UnexpectedContent,
)
from ironbucket.s3 import acl
from ironbucket.s3.attributes import refuse_unbuilt
from ironbucket.s3.call import SMALL_DOCUMENT, Call
from ironbucket.s3.credentials import ACCOUNT_NUMBER, DEFAULT_ACCOUNT, owner_id
from ironbucket.s3.object_get import requested_version
from ironbucket.s3.policy import MAX_BUCKET_POLICY, Names, is_public, parse_bucket, stored
from ironbucket.s3.request import Request
from ironbucket.s3.response import Response, empty, version_headers, xml
from ironbucket.s3.xml import Writer, parse
from ironbucket.store.model import Bucket

OWNERSHIP = ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

_ACCOUNT_NAMES = frozenset((ACCOUNT_NUMBER, DEFAULT_ACCOUNT, owner_id(DEFAULT_ACCOUNT)))


# -- policy -----------------------------------------------------------------------------------------------------------


def get_policy(call: Call) -> Response:
    """GetBucketPolicy: the text as it was put."""
    body = _policy(call.node.buckets.get(call.bucket)).encode()
    return Response(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], [body])


def _policy(bucket: Bucket) -> str:
    text: str | None = bucket.configuration.get("policy")
    if not text:
        raise NoSuchBucketPolicy(BucketName=bucket.name)
    return text


def put_policy(call: Call) -> Response:
    """PutBucketPolicy. Raises MalformedPolicy, and AccessDenied for a public one where those are blocked."""
    bucket = call.node.buckets.get(call.bucket)
    data = call.read(2 * MAX_BUCKET_POLICY)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'") from None
    policy = parse_bucket(text, call.bucket, Names(_ACCOUNT_NAMES, call.credentials.users))
    if _blocks(bucket).get("BlockPublicPolicy") and is_public(policy):
        raise AccessDenied(
            f"User: {call.authentication.identity.arn} is not authorized to perform: s3:PutBucketPolicy on resource:"
            f' "arn:aws:s3:::{call.bucket}" because public policies are prevented by the BlockPublicPolicy setting in'
            " S3 Block Public Access."
        )
    call.node.buckets.configure(call.bucket, "policy", text)
    return empty(204)


def delete_policy(call: Call) -> Response:
    """DeleteBucketPolicy."""
    return _remove(call, "policy")


def policy_status(call: Call) -> Response:
    """GetBucketPolicyStatus: whether the policy lets the public in."""
    writer = Writer("PolicyStatus")
    writer.leaf("IsPublic", is_public(stored(_policy(call.node.buckets.get(call.bucket)))))
    return xml(writer)


# -- public access block ----------------------------------------------------------------------------------------------


def _blocks(bucket: Bucket) -> dict[str, bool]:
    return dict(bucket.configuration.get("publicAccessBlock") or {})


def get_block(call: Call) -> Response:
    """GetPublicAccessBlock."""
    blocks = _blocks(call.node.buckets.get(call.bucket))
    if not blocks:
        raise NoSuchPublicAccessBlockConfiguration(BucketName=call.bucket)
    writer = Writer("PublicAccessBlockConfiguration")
    for name in BLOCKS:
        writer.leaf(name, bool(blocks.get(name)))
    return xml(writer)


def put_block(call: Call) -> Response:
    """PutPublicAccessBlock: what is not named is off."""
    blocks = dict.fromkeys(BLOCKS, False)
    seen = set()
    for element in call.document("PublicAccessBlockConfiguration"):
        value = element.text.strip().lower()
        if element.name not in BLOCKS or element.name in seen or value not in ("true", "false"):
            raise MalformedXML
        seen.add(element.name)
        blocks[element.name] = value == "true"
    call.node.buckets.configure(call.bucket, "publicAccessBlock", blocks)
    return empty(200)


def delete_block(call: Call) -> Response:
    """DeletePublicAccessBlock."""
    return _remove(call, "publicAccessBlock")


# -- ownership --------------------------------------------------------------------------------------------------------


def get_ownership(call: Call) -> Response:
    """GetBucketOwnershipControls."""
    ownership = call.node.buckets.get(call.bucket).configuration.get("ownershipControls")
    if not ownership:
        raise OwnershipControlsNotFoundError(BucketName=call.bucket)
    writer = Writer("OwnershipControls")
    writer.open("Rule")
    writer.leaf("ObjectOwnership", ownership)
    writer.close()
    return xml(writer)


def put_ownership(call: Call) -> Response:
    """PutBucketOwnershipControls: BucketOwnerEnforced switches ACLs off, and needs a bucket without one."""
    rules = call.document("OwnershipControls").children
    if len(rules) != 1 or rules[0].name != "Rule" or [child.name for child in rules[0]] != ["ObjectOwnership"]:
        raise MalformedXML
    ownership = rules[0].value("ObjectOwnership")
    if ownership not in OWNERSHIP:
        raise MalformedXML
    bucket = call.node.buckets.get(call.bucket)
    if ownership == "BucketOwnerEnforced" and bucket.configuration.get("acl"):
        raise InvalidBucketAclWithObjectOwnership
    call.node.buckets.configure(call.bucket, "ownershipControls", ownership)
    return empty(200)


def delete_ownership(call: Call) -> Response:
    """DeleteBucketOwnershipControls."""
    return _remove(call, "ownershipControls")


def _remove(call: Call, kind: str) -> Response:
    """To delete what is not there succeeds, and leaves no record."""
    if kind in call.node.buckets.get(call.bucket).configuration:
        call.node.buckets.configure(call.bucket, kind, None)
    return empty(204)


# -- access control lists ---------------------------------------------------------------------------------------------


def check_headers(call: Call) -> None:
    """Raise what a bucket says to a write that brings an ACL in its headers."""
    request = call.request
    grants = acl.of_headers(request.headers, call.owner_id)
    bucket = call.node.buckets.get(request.bucket)
    canned = request.headers.get("x-amz-acl")
    _check(bucket, grants, accepted=canned == "bucket-owner-full-control")


def brings_acl(request: Request) -> bool:
    """Whether a write to a bucket that exists sets an ACL by its headers."""
    return not acl.HEADERS.isdisjoint(request.headers)


def _check(bucket: Bucket, grants: acl.Grants | None, *, accepted: bool) -> None:
    if acl.are_off(bucket.configuration) and not accepted:
        raise AccessControlListNotSupported
    if _blocks(bucket).get("BlockPublicAcls") and acl.is_public(grants):
        raise AccessDenied


def get_bucket_acl(call: Call) -> Response:
    """GetBucketAcl."""
    bucket = call.node.buckets.get(call.bucket)
    grants = None if acl.are_off(bucket.configuration) else bucket.configuration.get("acl")
    return xml(acl.document(grants, bucket.owner, call.credentials.owner(bucket.owner)))


def put_bucket_acl(call: Call) -> Response:
    """PutBucketAcl: by headers or by a document."""
    bucket = call.node.buckets.get(call.bucket)
    grants = _requested(call, bucket, bucket.owner)
    if grants or bucket.configuration.get("acl"):
        call.node.buckets.configure(call.bucket, "acl", grants)
    return empty(200)


def get_object_acl(call: Call) -> Response:
    """GetObjectAcl."""
    version = call.node.objects.get(call.bucket, call.key, requested_version(call))
    off = acl.are_off(call.node.buckets.get(call.bucket).configuration)
    grants = None if off else version.attributes.get("acl")
    document = acl.document(grants or None, version.owner, call.credentials.owner(version.owner))
    return xml(document, version_headers(version))


def put_object_acl(call: Call) -> Response:
    """PutObjectAcl: by headers or by a document."""
    version = call.node.objects.get(call.bucket, call.key, requested_version(call))
    grants = _requested(call, call.node.buckets.get(call.bucket), version.owner)
    if grants or version.attributes.get("acl"):
        version = call.node.objects.update(call.bucket, call.key, requested_version(call), "acl", grants)
    return empty(200, version_headers(version))


def _requested(call: Call, bucket: Bucket, owner: str) -> Any:
    """The list that the request sets. Raises MalformedACLError and what the bucket says to it."""
    refuse_unbuilt(call.request.headers)
    if brings_acl(call.request):
        if call.read(SMALL_DOCUMENT):
            raise UnexpectedContent
        grants = acl.of_headers(call.request.headers, owner)
        accepted = call.header("x-amz-acl") == "bucket-owner-full-control"
    else:
        body = call.read(SMALL_DOCUMENT)
        if not body:
            raise MissingSecurityHeader(MissingHeaderName="x-amz-acl")
        try:
            grants = acl.of_document(parse(body, "AccessControlPolicy"), owner)
        except MalformedXML:
            raise MalformedACLError from None
        accepted = grants is None
    _check(bucket, grants, accepted=accepted)
    return grants
