"""CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html.
"""

from __future__ import annotations

import re
from typing import Any

from ironbucket.errors import (
    IllegalLocationConstraintException,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
    InvalidBucketName,
    InvalidLocationConstraint,
)
from ironbucket.s3 import acl
from ironbucket.s3.attributes import refuse_unbuilt
from ironbucket.s3.call import SMALL_DOCUMENT, Call
from ironbucket.s3.response import Response, empty, xml
from ironbucket.s3.xml import Writer, parse

DEFAULT_REGION = "us-east-1"

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d", re.ASCII)

_OWNERSHIP = ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")


def is_valid_name(name: str) -> bool:
    """Whether a bucket may be called so: 3 to 63 of a-z 0-9 . -, no address, no reserved affix."""
    return (
        _NAME.fullmatch(name) is not None
        and ".." not in name
        and _ADDRESS.fullmatch(name) is None
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
    )


def create(call: Call) -> Response:
    """Create a bucket; for its owner a second time changes nothing and succeeds, as in us-east-1."""
    if not is_valid_name(call.bucket):
        raise InvalidBucketName(BucketName=call.bucket)
    refuse_unbuilt(call.request.headers)
    document = call.read(SMALL_DOCUMENT)
    if document:
        check_location(document, call.node.settings.region)
    call.node.buckets.create(call.bucket, call.owner_id, _configuration(call))
    return empty(200, [("Location", f"/{call.bucket}")])


def _configuration(call: Call) -> dict[str, Any]:
    """What the headers of a creation ask of the new bucket."""
    configuration: dict[str, Any] = {}
    lock = call.header("x-amz-bucket-object-lock-enabled").lower()
    if lock not in ("", "true", "false"):
        raise InvalidArgument(ArgumentName="x-amz-bucket-object-lock-enabled", ArgumentValue=lock)
    if lock == "true":
        # an object lock needs versions; retention itself is refused until it can be enforced
        configuration["object-lock"] = {"enabled": True}
        configuration["versioning"] = "Enabled"
    ownership = call.header("x-amz-object-ownership")
    if ownership and ownership not in _OWNERSHIP:
        raise InvalidArgument(ArgumentName="x-amz-object-ownership", ArgumentValue=ownership)
    if ownership:
        configuration["ownershipControls"] = ownership
    if grants := acl.of_headers(call.request.headers, call.owner_id):
        if acl.are_off(configuration):
            raise InvalidBucketAclWithObjectOwnership
        configuration["acl"] = grants
    return configuration


def check_location(document: bytes, region: str) -> None:
    """Raise unless a CreateBucketConfiguration asks for `region`, or for none.

    Raises MalformedXML, InvalidLocationConstraint, and IllegalLocationConstraintException for another AWS region.
    """
    wanted = parse(document, "CreateBucketConfiguration").find("LocationConstraint")
    if wanted is None or wanted.text == region or (wanted.text == "EU" and region == "eu-west-1"):
        return
    if _AWS_REGION.fullmatch(wanted.text):
        raise IllegalLocationConstraintException(
            f"The {wanted.text} location constraint is incompatible for the region specific endpoint this request was"
            " sent to."
        )
    raise InvalidLocationConstraint(LocationConstraint=wanted.text)


def head(call: Call) -> Response:
    """200 when the bucket exists, and where it is."""
    call.node.buckets.get(call.bucket)
    region = call.node.settings.region
    return empty(200, [("x-amz-bucket-region", region), ("x-amz-access-point-alias", "false")])


def delete(call: Call) -> Response:
    """Delete an empty bucket."""
    call.node.buckets.delete(call.bucket)
    call.node.uploads.end_all(call.bucket)
    return empty(204)


def location(call: Call) -> Response:
    """The bucket's region; empty for us-east-1, which is older than the name."""
    call.node.buckets.get(call.bucket)
    region = call.node.settings.region
    writer = Writer("LocationConstraint")
    if region != DEFAULT_REGION:
        writer.raw(region)
    return xml(writer)
