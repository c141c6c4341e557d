"""Versions, locks, lifecycle and quotas on nodes that know each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cluster.inspected import Nodes, asked, client, cluster, replicate
from tests.harness.process import NodeProcess
from tests.s3.expect import body, fails

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def two(nodes: Nodes) -> list[NodeProcess]:
    made = cluster(nodes)
    for node in made:
        node.start()
    return made


def versions(s3: Any, bucket: str = "box") -> list[tuple[str, str, bool]]:
    answer = s3.list_object_versions(Bucket=bucket)
    return [
        (one["Key"], one["VersionId"], one["IsLatest"])
        for one in answer.get("Versions", []) + answer.get("DeleteMarkers", [])
    ]


def versioned(one: NodeProcess, other: NodeProcess, **parameters: Any) -> tuple[Any, Any]:
    s3, far = client(one), client(other)
    s3.create_bucket(Bucket="box", **parameters)
    s3.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    replicate(one)
    return s3, far


def test_versions_made_on_several_nodes_are_one_set(two: list[NodeProcess]) -> None:
    one, other = two
    s3, far = versioned(one, other)
    made = {}
    for number in range(3):
        for where in (s3, far):
            data = f"{number} {'here' if where is s3 else 'there'}".encode()
            made[where.put_object(Bucket="box", Key="k", Body=data)["VersionId"]] = data
    marker = far.delete_object(Bucket="box", Key="k")["VersionId"]
    removed = next(iter(made))
    s3.delete_object(Bucket="box", Key="k", VersionId=removed)
    replicate(one, other)
    assert versions(s3) == versions(far)
    assert {version for _, version, _ in versions(s3)} == {*made, marker} - {removed}
    assert [version for _, version, latest in versions(s3) if latest] == [marker]
    for where in (s3, far):
        for version, data in made.items():
            if version != removed:
                assert body(where, "box", "k", VersionId=version) == data
    assert asked(one, "verify")["agrees"]


def test_suspended_versions_of_two_nodes(two: list[NodeProcess]) -> None:
    one, other = two
    s3, far = versioned(one, other)
    named = s3.put_object(Bucket="box", Key="k", Body=b"named")["VersionId"]
    s3.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Suspended"})
    replicate(one)
    s3.put_object(Bucket="box", Key="k", Body=b"here")
    assert far.put_object(Bucket="box", Key="k", Body=b"there")["VersionId"] == "null"
    replicate(one, other)
    assert versions(s3) == versions(far)
    assert [version for _, version, _ in versions(s3)] == ["null", named]
    assert body(s3, "box", "k") == body(far, "box", "k") == b"there"


def test_a_lock_holds_on_every_node_and_after_a_recovery(two: list[NodeProcess]) -> None:
    one, other = two
    s3, far = versioned(one, other, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    put = s3.put_object(
        Bucket="box", Key="k", Body=b"kept", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )
    named = {"Bucket": "box", "Key": "k", "VersionId": put["VersionId"]}
    s3.put_bucket_lifecycle_configuration(
        Bucket="box",
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "all",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "Expiration": {"Date": PAST},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                }
            ]
        },
    )
    replicate(one)
    for where in (s3, far):
        with fails("AccessDenied", 403):
            where.delete_object(**named, BypassGovernanceRetention=True)
    assert [one["action"] for one in asked(one, "lifecycle")["done"]] == ["expire"], "a marker over it, no more"
    replicate(one, other)
    assert one.run("verify", "--payloads", "--repair").returncode == 0
    other.stop()
    assert other.run("recover").returncode == 0
    other.start()
    for where in (s3, far):
        with fails("AccessDenied", 403):
            where.delete_object(**named)
        assert body(where, "box", "k", VersionId=put["VersionId"]) == b"kept"


def test_objects_are_expired_by_one_node_for_all(two: list[NodeProcess]) -> None:
    one, other = two
    s3, far = versioned(one, other)
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Date": PAST}}]
    s3.put_bucket_lifecycle_configuration(Bucket="box", LifecycleConfiguration={"Rules": rules})
    for key in ("tmp/a", "tmp/b", "kept"):
        s3.put_object(Bucket="box", Key=key, Body=b"1")
    replicate(one)
    seen = asked(other, "lifecycle")
    assert (seen["expires_objects"], seen["done"]) == ("node-1", [])
    assert [one["key"] for one in asked(other, "lifecycle", "--dry-run")["done"]] == ["tmp/a", "tmp/b"]
    assert [one["key"] for one in asked(one, "lifecycle", "--dry-run")["done"]] == ["tmp/a", "tmp/b"]
    assert len(versions(s3)) == 3
    assert [one["key"] for one in asked(one, "lifecycle")["done"]] == ["tmp/a", "tmp/b"]
    assert asked(one, "lifecycle")["done"] == []
    replicate(one, other)
    assert versions(s3) == versions(far)
    assert len(versions(far)) == 5

    far.put_object(Bucket="box", Key="tmp/c", Body=b"1")
    replicate(other)
    one.stop()
    seen = asked(other, "lifecycle")
    assert seen["expires_objects"] == "node-2", "the first of those that can be reached"
    assert [one["key"] for one in seen["done"]] == ["tmp/c"]
    text = other.run("lifecycle")
    assert "nothing was due" in text.stdout


def test_an_expiration_does_not_take_what_its_node_has_not_seen(two: list[NodeProcess]) -> None:
    one, other = two
    s3, far = client(one), client(other)
    s3.create_bucket(Bucket="box")
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Date": PAST}}]
    s3.put_bucket_lifecycle_configuration(Bucket="box", LifecycleConfiguration={"Rules": rules})
    s3.put_object(Bucket="box", Key="k", Body=b"old")
    replicate(one)
    far.put_object(Bucket="box", Key="k", Body=b"new")
    assert [one["key"] for one in asked(one, "lifecycle")["done"]] == ["k"]
    replicate(one, other)
    assert body(s3, "box", "k") == body(far, "box", "k") == b"new"


def test_uploads_are_aborted_by_the_node_that_holds_them(two: list[NodeProcess]) -> None:
    one, other = two
    s3, far = client(one), client(other)
    s3.create_bucket(Bucket="box")
    rules = [
        {
            "ID": "r",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        }
    ]
    s3.put_bucket_lifecycle_configuration(Bucket="box", LifecycleConfiguration={"Rules": rules})
    replicate(one)
    far.create_multipart_upload(Bucket="box", Key="k")
    assert asked(other, "lifecycle")["done"] == [], "it is not a day old"


def test_a_quota_is_set_once_and_kept_everywhere(two: list[NodeProcess]) -> None:
    one, other = two
    s3, far = client(one), client(other)
    s3.create_bucket(Bucket="box")
    s3.put_object(Bucket="box", Key="a", Body=b"x" * 600)
    status = asked(one, "quota", "set", "box", "--bytes", "1K", "--objects", "5")
    assert status == {"bucket": "box", "quota": {"bytes": 1024, "objects": 5}, "holds": {"objects": 1, "bytes": 600}}
    replicate(one)
    for where in (s3, far):
        with fails("QuotaExceeded", 403):
            where.put_object(Bucket="box", Key="b", Body=b"x" * 425)
    assert asked(other, "quota", "get", "box")["holds"] == {"objects": 1, "bytes": 600}
    far.put_object(Bucket="box", Key="b", Body=b"x" * 424)
    assert "quota 1.0 KiB and 5 versions" in other.run("quota", "get", "box").stdout
    assert asked(other, "quota", "remove", "box")["quota"] is None
    far.put_object(Bucket="box", Key="c", Body=b"x" * 500)
    assert one.run("quota", "set", "box").returncode == 2
    assert one.run("quota", "get", "nowhere").returncode == 1
