"""Buckets: create, head, delete, location, and the configuration that clients ask for unasked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.raw import RawClient
from tests.s3.conftest import new_name
from tests.s3.expect import fails


def test_create_names_its_location(s3: Any) -> None:
    name = new_name()
    answer = s3.create_bucket(Bucket=name)
    assert answer["Location"] == f"/{name}"
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_creating_a_bucket_that_one_owns_succeeds_and_keeps_its_objects(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    before = next(b["CreationDate"] for b in s3.list_buckets()["Buckets"] if b["Name"] == bucket)
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
    assert next(b["CreationDate"] for b in s3.list_buckets()["Buckets"] if b["Name"] == bucket) == before


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper",
        "under_score",
        "-lead",
        "trail-",
        ".lead",
        "trail.",
        "two..dots",
        "192.168.5.4",
        "xn--punycode",
        "some-s3alias",
        "sthree-x",
        "with space",
        "ünicode",
    ],
)
def test_names_that_s3_refuses(raw: RawClient, name: str) -> None:
    answer = (
        raw.request("PUT", path="/" + name.encode().decode("latin-1").replace(" ", "%20"))
        if name.isascii()
        else (raw.request("PUT", path="/%C3%BCnicode"))
    )
    assert (answer.status, answer.code) == (400, "InvalidBucketName"), str(answer)


@pytest.mark.parametrize("shape", ["{0}", "{0}.with.dots", "{0}-1-2", "0{0}", "{0:a<63}"])
def test_names_that_s3_accepts(s3: Any, shape: str) -> None:
    name = shape.format(new_name("n"))
    s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)


def test_a_location_constraint_that_is_not_ours_is_refused(s3: Any) -> None:
    with fails("IllegalLocationConstraintException", 400):
        s3.create_bucket(Bucket=new_name(), CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})


def test_location_of_us_east_1_is_empty(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_head_tells_the_region(s3: Any, bucket: str) -> None:
    headers = s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-bucket-region"] == "us-east-1"


def test_a_body_that_is_not_xml_is_refused(raw: RawClient) -> None:
    answer = raw.request("PUT", new_name(), body=b"<CreateBucketConfiguration><Loc")
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_delete(s3: Any, bucket: str) -> None:
    assert s3.delete_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with fails("404", 404):
        s3.head_bucket(Bucket=bucket)
    assert bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.create_bucket(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_delete_refuses_a_bucket_with_objects(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with fails("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


def test_an_upload_in_progress_does_not_keep_a_bucket(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_everything_on_a_missing_bucket_says_so(s3: Any) -> None:
    name = new_name("missing")
    calls = [
        lambda: s3.delete_bucket(Bucket=name),
        lambda: s3.list_objects(Bucket=name),
        lambda: s3.list_objects_v2(Bucket=name),
        lambda: s3.list_object_versions(Bucket=name),
        lambda: s3.list_multipart_uploads(Bucket=name),
        lambda: s3.get_bucket_location(Bucket=name),
        lambda: s3.get_bucket_versioning(Bucket=name),
        lambda: s3.get_bucket_acl(Bucket=name),
        lambda: s3.get_bucket_cors(Bucket=name),
        lambda: s3.get_object(Bucket=name, Key="k"),
        lambda: s3.put_object(Bucket=name, Key="k", Body=b""),
        lambda: s3.delete_object(Bucket=name, Key="k"),
        lambda: s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k"}]}),
        lambda: s3.create_multipart_upload(Bucket=name, Key="k"),
        lambda: s3.copy_object(Bucket=name, Key="k", CopySource={"Bucket": name, "Key": "k"}),
    ]
    for call in calls:
        with fails("NoSuchBucket", 404) as failure:
            call()
        assert failure.response["Error"]["BucketName"] == name


UNSET = {
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
}


@pytest.mark.parametrize("call", UNSET)
def test_configuration_that_was_never_set(s3: Any, bucket: str, call: str) -> None:
    with fails(UNSET[call], 404):
        getattr(s3, call)(Bucket=bucket)


def test_configuration_that_has_an_empty_answer(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    notification = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert not {k for k in notification if k.endswith(("Configurations", "Configuration"))}


def test_the_owner_has_full_control(s3: Any, bucket: str) -> None:
    acl = s3.get_bucket_acl(Bucket=bucket)
    assert [g["Permission"] for g in acl["Grants"]] == ["FULL_CONTROL"]
    assert acl["Grants"][0]["Grantee"]["ID"] == acl["Owner"]["ID"]
    assert acl["Grants"][0]["Grantee"]["Type"] == "CanonicalUser"


def test_the_root_has_no_other_method(raw: RawClient) -> None:
    for method in ("PUT", "POST", "DELETE"):
        answer = raw.request(method, path="/")
        assert (answer.status, answer.code) == (405, "MethodNotAllowed"), method
