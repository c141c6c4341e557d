"""Object lock and lifecycle configuration as boto3 sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.s3.conftest import new_name
from tests.s3.expect import fails

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def locked(s3: Any) -> str:
    name = new_name("locked")
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def test_a_bucket_made_for_locks(s3: Any, locked: str) -> None:
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    configuration = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
    }
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration
    with fails("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Suspended"})
    version = s3.put_object(Bucket=locked, Key="k", Body=b"1")["VersionId"]
    head = s3.head_object(Bucket=locked, Key="k")
    assert head["ObjectLockMode"] == "GOVERNANCE"
    remaining = head["ObjectLockRetainUntilDate"] - head["LastModified"]
    assert timedelta(hours=23, minutes=59) < remaining <= timedelta(days=1, seconds=1)
    with fails("AccessDenied", 403):
        s3.delete_object(Bucket=locked, Key="k", VersionId=version)
    s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)


def test_compliance_cannot_be_undone(s3: Any, locked: str) -> None:
    put = s3.put_object(Bucket=locked, Key="k", Body=b"1", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=SOON)
    named = {"Bucket": locked, "Key": "k", "VersionId": put["VersionId"]}
    for sooner in (SOON - timedelta(hours=1), SOON - timedelta(hours=20)):
        with fails("AccessDenied", 403):
            s3.put_object_retention(
                **named,
                Retention={"Mode": "COMPLIANCE", "RetainUntilDate": sooner},
                BypassGovernanceRetention=True,
            )
    with fails("AccessDenied", 403):
        s3.delete_object(**named, BypassGovernanceRetention=True)
    answer = s3.delete_objects(
        Bucket=locked,
        Delete={"Objects": [{"Key": "k", "VersionId": put["VersionId"]}]},
        BypassGovernanceRetention=True,
    )
    assert answer["Errors"][0]["Code"] == "AccessDenied"
    later = SOON + timedelta(days=1)
    s3.put_object_retention(**named, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later})
    assert s3.get_object_retention(**named)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": later}
    s3.put_object(Bucket=locked, Key="k", Body=b"2")
    assert s3.get_object(**named)["Body"].read() == b"1"
    with fails("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=locked)


def test_legal_hold(s3: Any, locked: str) -> None:
    put = s3.put_object(Bucket=locked, Key="k", Body=b"1", ObjectLockLegalHoldStatus="ON")
    named = {"Bucket": locked, "Key": "k", "VersionId": put["VersionId"]}
    assert s3.get_object_legal_hold(**named)["LegalHold"]["Status"] == "ON"
    with fails("AccessDenied", 403):
        s3.delete_object(**named, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    s3.delete_object(**named)


def test_a_copy_and_an_upload_take_their_own_lock(s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="k", Body=b"1", ObjectLockLegalHoldStatus="ON")
    source = {"Bucket": locked, "Key": "k"}
    s3.copy_object(Bucket=locked, Key="free", CopySource=source)
    assert "ObjectLockLegalHoldStatus" not in s3.head_object(Bucket=locked, Key="free")
    s3.copy_object(
        Bucket=locked,
        Key="kept",
        CopySource=source,
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=SOON,
    )
    assert s3.head_object(Bucket=locked, Key="kept")["ObjectLockRetainUntilDate"] == SOON
    upload = s3.create_multipart_upload(
        Bucket=locked, Key="m", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=SOON
    )["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        Bucket=locked, Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert s3.head_object(Bucket=locked, Key="m")["ObjectLockMode"] == "GOVERNANCE"


def test_a_bucket_without_locks_refuses_them(s3: Any, bucket: str) -> None:
    with fails("InvalidRequest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", ObjectLockLegalHoldStatus="ON")
    with fails("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


def test_lifecycle_configuration(s3: Any, bucket: str) -> None:
    rules = [
        {
            "ID": "tmp",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "tmp/", "Tags": [{"Key": "a", "Value": "b"}], "ObjectSizeGreaterThan": 5}},
            "Expiration": {"Days": 3},
        },
        {
            "ID": "old",
            "Status": "Disabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 4, "NewerNoncurrentVersions": 2},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        },
        {
            "ID": "date",
            "Status": "Enabled",
            "Filter": {"Tag": {"Key": "x", "Value": "y"}},
            "Expiration": {"Date": datetime(2040, 1, 1, tzinfo=UTC)},
        },
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    put = s3.put_object(Bucket=bucket, Key="tmp/a", Body=b"123456", Tagging="a=b")
    assert 'rule-id="tmp"' in put["Expiration"]
    assert 'rule-id="tmp"' in s3.head_object(Bucket=bucket, Key="tmp/a")["Expiration"]
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="tmp/b", Body=b"1", Tagging="a=b")
    with fails("InvalidArgument", 400):
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [{**rules[0], "Expiration": {"Days": 0}}]}
        )
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with fails("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
