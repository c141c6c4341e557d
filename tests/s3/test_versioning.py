"""Versioning as boto3 sees it: listings with every parameter, deletions, conditions, copies, batches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.s3.expect import body, fails


@pytest.fixture
def versioned(s3: Any, bucket: str) -> str:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def put(s3: Any, bucket: str, key: str, data: bytes) -> str:
    version: str = s3.put_object(Bucket=bucket, Key=key, Body=data)["VersionId"]
    return version


def listed(s3: Any, bucket: str, **parameters: Any) -> list[tuple[str, str, bool, bool]]:
    """(key, version id, is latest, is a marker) over all pages, of each page versions before markers."""
    found = []
    answer = s3.list_object_versions(Bucket=bucket, **parameters)
    while True:
        for name, marker in (("Versions", False), ("DeleteMarkers", True)):
            found += [(one["Key"], one["VersionId"], one["IsLatest"], marker) for one in answer.get(name, [])]
        if not answer["IsTruncated"]:
            return found
        parameters["KeyMarker"] = answer["NextKeyMarker"]
        parameters.pop("VersionIdMarker", None)
        if "NextVersionIdMarker" in answer:
            parameters["VersionIdMarker"] = answer["NextVersionIdMarker"]
        answer = s3.list_object_versions(Bucket=bucket, **parameters)


def test_a_life(s3: Any, versioned: str) -> None:
    first, second = put(s3, versioned, "k", b"1"), put(s3, versioned, "k", b"2")
    assert body(s3, versioned, "k") == b"2"
    assert body(s3, versioned, "k", VersionId=first) == b"1"
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"] is True
    with fails("NoSuchKey", 404) as failure:
        s3.get_object(Bucket=versioned, Key="k")
    headers = failure.response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", deleted["VersionId"])
    with fails("MethodNotAllowed", 405) as failure:
        s3.get_object(Bucket=versioned, Key="k", VersionId=deleted["VersionId"])
    assert "last-modified" in failure.response["ResponseMetadata"]["HTTPHeaders"]
    assert body(s3, versioned, "k", VersionId=second) == b"2"
    assert s3.delete_object(Bucket=versioned, Key="k", VersionId=deleted["VersionId"])["DeleteMarker"] is True
    assert s3.delete_object(Bucket=versioned, Key="k", VersionId=second)["VersionId"] == second
    assert body(s3, versioned, "k") == b"1"
    with fails("NoSuchVersion", 404):
        s3.get_object(Bucket=versioned, Key="k", VersionId=second)
    with fails("InvalidArgument", 400):
        s3.get_object(Bucket=versioned, Key="k", VersionId="not a version")


def test_restoring_by_a_copy(s3: Any, versioned: str) -> None:
    first = put(s3, versioned, "k", b"1")
    put(s3, versioned, "k", b"2")
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert copied["VersionId"] not in (first, "null")
    assert body(s3, versioned, "k") == b"1"
    assert len(listed(s3, versioned)) == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_show_each_entry_once(s3: Any, versioned: str, limit: int) -> None:
    expected = []
    for key in ("a", "b/1", "b/2", "ü"):
        ids = [put(s3, versioned, key, str(n).encode()) for n in range(3)]
        marker = s3.delete_object(Bucket=versioned, Key=key)["VersionId"]
        expected += [(key, marker, True, True), *((key, one, False, False) for one in reversed(ids))]
    assert sorted(listed(s3, versioned, MaxKeys=limit)) == sorted(expected)
    assert {one[0] for one in listed(s3, versioned, MaxKeys=limit, Prefix="b/")} == {"b/1", "b/2"}
    if limit == 1:
        assert listed(s3, versioned, MaxKeys=1) == expected, "newest first within a key"


def test_common_prefixes(s3: Any, versioned: str) -> None:
    for key in ("a", "b/1", "b/2", "c/1"):
        put(s3, versioned, key, b"")
        put(s3, versioned, key, b"")
    first = s3.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=3)
    assert [one["Prefix"] for one in first["CommonPrefixes"]] == ["b/"]
    assert (first["NextKeyMarker"], first["IsTruncated"]) == ("b/", True)
    rest = s3.list_object_versions(Bucket=versioned, Delimiter="/", KeyMarker="b/")
    assert [one["Prefix"] for one in rest["CommonPrefixes"]] == ["c/"]
    assert "Versions" not in rest


def test_markers_of_a_listing(s3: Any, versioned: str) -> None:
    ids = [put(s3, versioned, "k", b"") for _ in range(3)]
    after = s3.list_object_versions(Bucket=versioned, KeyMarker="k", VersionIdMarker=ids[2])
    assert [one["VersionId"] for one in after["Versions"]] == [ids[1], ids[0]]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[1])
    after = s3.list_object_versions(Bucket=versioned, KeyMarker="k", VersionIdMarker=ids[1])
    assert [one["VersionId"] for one in after["Versions"]] == [ids[0]], "a marker that was removed keeps its place"
    assert "Versions" not in s3.list_object_versions(Bucket=versioned, KeyMarker="k")
    with fails("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, VersionIdMarker=ids[0])
    assert "Versions" not in s3.list_object_versions(Bucket=versioned, MaxKeys=0)


def test_names_are_encoded_when_asked(s3: Any, versioned: str) -> None:
    put(s3, versioned, "a b/\u00fc", b"")
    (one,) = s3.list_object_versions(Bucket=versioned, EncodingType="url")["Versions"]
    assert one["Key"] in ("a%20b/%C3%BC", "a+b/%C3%BC", "a b/\u00fc")


def test_a_batch_of_versions_and_markers(s3: Any, versioned: str) -> None:
    first, second = put(s3, versioned, "k", b"1"), put(s3, versioned, "k", b"2")
    answer = s3.delete_objects(
        Bucket=versioned, Delete={"Objects": [{"Key": "k", "VersionId": first}, {"Key": "k"}, {"Key": "new"}]}
    )["Deleted"]
    assert answer[0] == {"Key": "k", "VersionId": first}
    assert all(one["DeleteMarker"] and one["DeleteMarkerVersionId"] for one in answer[1:])
    marker = answer[1]["DeleteMarkerVersionId"]
    (undone,) = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k", "VersionId": marker}]})["Deleted"]
    assert undone == {"Key": "k", "VersionId": marker, "DeleteMarker": True, "DeleteMarkerVersionId": marker}
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == second


def test_conditions(s3: Any, versioned: str) -> None:
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=versioned, Key="k", Body=b"2", IfNoneMatch="*")
    s3.put_object(Bucket=versioned, Key="k", Body=b"2", IfMatch=first["ETag"])
    with fails("PreconditionFailed", 412):
        s3.delete_object(Bucket=versioned, Key="k", IfMatch=first["ETag"])
    s3.delete_object(Bucket=versioned, Key="k")
    s3.put_object(Bucket=versioned, Key="k", Body=b"3", IfNoneMatch="*")
    assert len(listed(s3, versioned)) == 4


def test_suspended(s3: Any, versioned: str) -> None:
    named = put(s3, versioned, "k", b"named")
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    assert s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"] == "null"
    assert s3.put_object(Bucket=versioned, Key="k", Body=b"2")["VersionId"] == "null"
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == "null"
    assert [one[1] for one in listed(s3, versioned)] == ["null", named]
    assert s3.delete_object(Bucket=versioned, Key="k")["VersionId"] == "null"
    assert body(s3, versioned, "k", VersionId=named) == b"named"
    s3.delete_object(Bucket=versioned, Key="k", VersionId="null")
    assert body(s3, versioned, "k") == b"named"


def test_a_multipart_upload_makes_a_version(s3: Any, versioned: str) -> None:
    put(s3, versioned, "k", b"old")
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, Body=b"new")
    done = s3.complete_multipart_upload(
        Bucket=versioned,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == done["VersionId"]
    assert len(listed(s3, versioned)) == 2


def test_the_bucket_is_empty_when_the_last_version_is_gone(s3: Any, versioned: str) -> None:
    put(s3, versioned, "k", b"1")
    s3.delete_object(Bucket=versioned, Key="k")
    with fails("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=versioned)
    for key, version, _, _ in listed(s3, versioned):
        s3.delete_object(Bucket=versioned, Key=key, VersionId=version)
    s3.delete_bucket(Bucket=versioned)


def test_bucket_tags(s3: Any, bucket: str) -> None:
    tags = [{"Key": "team", "Value": "a & b <c>"}]
    with fails("InvalidTag", 400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    tags = [{"Key": "team", "Value": "photos @ 1"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    with fails("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
