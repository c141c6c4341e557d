"""The actions and condition keys that a policy may name.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from functools import lru_cache

from ironbucket.s3.policy.glob import matches


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: actions on an object: their resource is arn:aws:s3:::bucket/key
OBJECT_ACTIONS = frozenset(
    f"s3:{name}"
    for name in _words(
        """
        AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion
        DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention
        GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes
        GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent InitiateReplication
        ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject PutObjectAcl PutObjectLegalHold
        PutObjectRetention PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject
        ReplicateTags RestoreObject UpdateObjectEncryption
        """
    )
)

#: actions on a bucket: their resource is arn:aws:s3:::bucket
BUCKET_ACTIONS = frozenset(
    f"s3:{name}"
    for name in _words(
        """
        CreateBucket DeleteBucket DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration
        GetAnalyticsConfiguration GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging GetBucketNotification
        GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
        GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite
        GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration
        GetLifecycleConfiguration
        GetMetricsConfiguration GetReplicationConfiguration ListBucket ListBucketMultipartUploads ListBucketVersions
        PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAcl PutBucketCORS PutBucketLogging
        PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
        PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
        PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration
        PutLifecycleConfiguration
        PutMetricsConfiguration PutReplicationConfiguration GetBucketQuota PutBucketQuota
        """
    )
)

#: actions on no resource in particular
ACCOUNT_ACTIONS = frozenset(("s3:ListAllMyBuckets", "s3:GetAccountPublicAccessBlock", "s3:PutAccountPublicAccessBlock"))

ACTIONS = OBJECT_ACTIONS | BUCKET_ACTIONS | ACCOUNT_ACTIONS

#: those that a request here can have, in lower case: keys are compared without regard to case. A condition on any
#: other would never do what its author expects, so a policy that names one is refused
CONDITION_KEYS = _words(
    """
    aws:currenttime aws:epochtime aws:principalaccount aws:principalarn aws:principaltype aws:referer
    aws:requestedregion aws:resourceaccount aws:securetransport aws:sourceip aws:useragent aws:userid aws:username
    s3:authtype s3:delimiter s3:if-match s3:if-none-match s3:locationconstraint s3:max-keys
    s3:object-lock-legal-hold s3:object-lock-mode s3:object-lock-retain-until-date s3:objectcreationoperation s3:prefix
    s3:requestobjecttagkeys s3:resourceaccount s3:signatureage s3:signatureversion s3:versionid s3:x-amz-acl
    s3:x-amz-content-sha256 s3:x-amz-copy-source s3:x-amz-grant-full-control s3:x-amz-grant-read
    s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp s3:x-amz-metadata-directive
    s3:x-amz-object-ownership s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id
    s3:x-amz-server-side-encryption-customer-algorithm s3:x-amz-storage-class s3:x-amz-website-redirect-location
    """
)

#: keys that end in a tag's name
TAG_KEYS = ("s3:existingobjecttag/", "s3:requestobjecttag/")


@lru_cache(1024)
def known(pattern: str) -> frozenset[str]:
    """The actions that a pattern stands for; empty for one that means nothing."""
    return frozenset(action for action in ACTIONS if matches(pattern, action, ignore_case=True))


def is_condition_key(name: str) -> bool:
    """Whether there is such a key, in whatever case."""
    name = name.lower()
    return name in CONDITION_KEYS or any(name.startswith(tag) and len(name) > len(tag) for tag in TAG_KEYS)
