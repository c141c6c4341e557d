"""Who may do what: the one place that every operation asks, per resource it touches.

The account itself may do everything. Anyone else is denied what a policy denies, and needs a policy (their own or the
bucket's) or an access control list that allows it. Nothing of that is looked at for the account: its requests are
the hot path.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
"""

from __future__ import annotations

from ironbucket.errors import AccessDenied, NoSuchBucket, S3Error
from ironbucket.s3 import acl
from ironbucket.s3.access import Access, Facts
from ironbucket.s3.credentials import ANONYMOUS
from ironbucket.s3.policy import Decision, Subject, evaluate, is_public, stored
from ironbucket.s3.policy.document import ARN
from ironbucket.s3.request import Request

#: what the action is called when the request names a version
_OF_A_VERSION = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:GetObjectTorrent": "s3:GetObjectVersionTorrent",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}

#: (action, header) -> what has to be allowed too when a request with that header does more than its action says
_OBJECT_EXTRAS = {
    "x-amz-tagging": "s3:PutObjectTagging",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-object-lock-retain-until-date": "s3:PutObjectRetention",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
    **dict.fromkeys(acl.HEADERS, "s3:PutObjectAcl"),
}
_BUCKET_EXTRAS = {
    "x-amz-bucket-object-lock-enabled": "s3:PutBucketObjectLockConfiguration",
    "x-amz-object-ownership": "s3:PutBucketOwnershipControls",
    **dict.fromkeys(acl.HEADERS, "s3:PutBucketAcl"),
}
_EXTRAS = {"s3:PutObject": _OBJECT_EXTRAS, "s3:CreateBucket": _BUCKET_EXTRAS}


def authorise(request: Request, action: str, bucket: str, key: str) -> None:
    """Raise AccessDenied unless the request's identity may perform `action` (s3:PutObject, ...) there.

    Raises NoSuchBucket when nobody could be allowed, because there is no such bucket.
    """
    identity = request.identity
    if identity is not None and identity.unrestricted:
        return
    if not allowed(request, action, bucket, key):
        raise AccessDenied


def authorise_operation(request: Request, action: str) -> None:
    """`authorise` for the resource that a request names, with all that its headers ask for beside the action."""
    identity = request.identity
    if identity is not None and identity.unrestricted:
        return
    if "versionId" in request.query:
        action = _OF_A_VERSION.get(action, action)
    authorise(request, action, request.bucket, request.key)
    for header, further in _EXTRAS.get(action, {}).items():
        if header in request.headers:
            authorise(request, further, request.bucket, request.key)


def allowed(request: Request, action: str, bucket: str, key: str) -> bool:
    """Whether the request's identity may perform `action` there. Raises NoSuchBucket."""
    identity = request.identity or ANONYMOUS
    if identity.unrestricted:
        return True
    access: Access | None = request.access
    if access is None:
        return False
    row = access.bucket(bucket) if bucket else None
    configuration = row.configuration if row is not None else {}
    policies = list(identity.policies)
    block = configuration.get("publicAccessBlock") or {}
    if text := configuration.get("policy"):
        policies.append(stored(text))
    subject = Subject(identity.user, identity.anonymous)
    resource = f"{ARN}{bucket}/{key}" if key else f"{ARN}{bucket or '*'}"
    facts = Facts(access, request, identity, action, bucket, key)
    decision = evaluate(policies, subject, action, resource, facts.values)
    if decision is Decision.DENY:
        return False
    if decision is Decision.ALLOW:
        shut_out = identity.anonymous and block.get("RestrictPublicBuckets")
        return not (shut_out and is_public(policies[-1]))
    if bucket and row is None and action != "s3:CreateBucket":
        raise NoSuchBucket(BucketName=bucket)
    if row is None or block.get("IgnorePublicAcls") or acl.are_off(configuration):
        return False
    return _by_acl(request, facts, action, row.configuration.get("acl"), key)


def _by_acl(request: Request, facts: Facts, action: str, of_bucket: acl.Grants | None, key: str) -> bool:
    """Whether an access control list allows the action, to anyone or to all who are known."""
    groups = acl.groups(known=not (request.identity or ANONYMOUS).anonymous)
    if acl.allows(of_bucket, groups, acl.BUCKET_PERMISSIONS.get(action)):
        return True
    permission = acl.OBJECT_PERMISSIONS.get(action)
    if permission is None or not key:
        return False
    try:
        version = facts.version()
    except S3Error:
        return False
    return version is not None and acl.allows(version.attributes.get("acl"), groups, permission)


def may_know_it_is_missing(request: Request) -> bool:
    """Whether a caller may be told that a key does not exist: whoever may not list the bucket may not."""
    try:
        return allowed(request, "s3:ListBucket", request.bucket, "")
    except NoSuchBucket:
        return True
