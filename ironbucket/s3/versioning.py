"""PutBucketVersioning and GetBucketVersioning.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
"""

from __future__ import annotations

from ironbucket import errors
from ironbucket.errors import IllegalVersioningConfigurationException, InvalidBucketState, MalformedXML
from ironbucket.s3.call import Call
from ironbucket.s3.response import Response, empty, xml
from ironbucket.s3.xml import Writer
from ironbucket.store.model import Bucket

STATES = ("Enabled", "Suspended")


def get(call: Call) -> Response:
    """No Status until versioning was first enabled."""
    bucket = call.node.buckets.get(call.bucket)
    writer = Writer("VersioningConfiguration")
    if bucket.versioning:
        writer.leaf("Status", bucket.versioning)
    return xml(writer)


def put(call: Call) -> Response:
    """Enable or suspend versioning. A bucket with an object lock cannot be suspended; MFA Delete is not built."""
    document = call.document("VersioningConfiguration")
    state = document.value("Status", "").strip()
    if document.value("MfaDelete", "Disabled").strip() not in ("Disabled", ""):
        raise errors.NotImplemented("MFA Delete is not implemented.")
    if not state:
        raise IllegalVersioningConfigurationException
    if state not in STATES:
        raise MalformedXML
    call.node.buckets.configure(call.bucket, "versioning", state, lambda bucket: _check(bucket, state))
    return empty(200)


def _check(bucket: Bucket, state: str) -> None:
    if bucket.locks and state != "Enabled":
        raise InvalidBucketState(
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        )
