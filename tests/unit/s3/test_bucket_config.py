"""The configuration of buckets that nothing can set yet."""

from __future__ import annotations

import pytest

from tests.unit.s3.conftest import Client

ABSENT = {
    "policy": "NoSuchBucketPolicy",
    "policyStatus": "NoSuchBucketPolicy",
    "tagging": "NoSuchTagSet",
    "cors": "NoSuchCORSConfiguration",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "website": "NoSuchWebsiteConfiguration",
    "replication": "ReplicationConfigurationNotFoundError",
    "object-lock": "ObjectLockConfigurationNotFoundError",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
}
EMPTY = {
    "versioning": "VersioningConfiguration",
    "logging": "BucketLoggingStatus",
    "notification": "NotificationConfiguration",
    "accelerate": "AccelerateConfiguration",
}
BUILT = ("policy", "policyStatus", "cors", "ownershipControls", "publicAccessBlock")
LISTS = ("analytics", "metrics", "inventory", "intelligent-tiering")


@pytest.mark.parametrize(("subresource", "code"), ABSENT.items())
def test_what_is_absent(client: Client, bucket: str, subresource: str, code: str) -> None:
    answer = client("GET", "/box", query={subresource: ""})
    assert (answer.status, answer.code) == (404, code)


@pytest.mark.parametrize(("subresource", "root"), EMPTY.items())
def test_what_is_empty(client: Client, bucket: str, subresource: str, root: str) -> None:
    answer = client("GET", "/box", query={subresource: ""})
    assert (answer.status, answer.xml.tag, list(answer.xml)) == (200, root, [])


@pytest.mark.parametrize("subresource", LISTS)
def test_lists(client: Client, bucket: str, subresource: str) -> None:
    assert client("GET", "/box", query={subresource: ""}).text("IsTruncated") == "false"
    one = client("GET", "/box", query={subresource: "", "id": "x"})
    assert (one.status, one.code) == (404, "NoSuchConfiguration")


def test_the_owner_pays(client: Client, bucket: str) -> None:
    assert client("GET", "/box", query={"requestPayment": ""}).text("Payer") == "BucketOwner"


@pytest.mark.parametrize("subresource", [*ABSENT, *EMPTY, *LISTS, "requestPayment", "acl", "location"])
def test_a_missing_bucket_has_no_configuration(client: Client, subresource: str) -> None:
    assert client("GET", "/nowhere", query={subresource: ""}).code == "NoSuchBucket"


UNBUILT = {*ABSENT, *EMPTY, *LISTS, "requestPayment"} - {
    *("policyStatus", "tagging", "lifecycle", "object-lock", "versioning"),
    *BUILT,
}


@pytest.mark.parametrize("subresource", sorted(UNBUILT))
def test_setting_is_not_built(client: Client, bucket: str, subresource: str) -> None:
    answer = client("PUT", "/box", b"<Any/>", query={subresource: ""})
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert client("PUT", "/nowhere", b"<Any/>", query={subresource: ""}).code == "NoSuchBucket"


@pytest.mark.parametrize("subresource", ["policy", "tagging", "cors", "lifecycle", "encryption", "website", "metrics"])
def test_deleting_what_is_not_there(client: Client, bucket: str, subresource: str) -> None:
    assert client("DELETE", "/box", query={subresource: ""}).status == 204
    assert client("HEAD", "/box").status == 200


@pytest.mark.parametrize("path", ["/box", "/box/a"])
def test_the_acl_is_the_owners(client: Client, bucket: str, path: str) -> None:
    client("PUT", "/box/a", b"1")
    answer = client("GET", path, query={"acl": ""})
    owner = answer.text("Owner/ID")
    assert answer.text("AccessControlList/Grant/Grantee/ID") == owner
    assert answer.text("AccessControlList/Grant/Permission") == "FULL_CONTROL"
    kind = answer.xml.find("AccessControlList/Grant/Grantee")
    assert kind is not None
    assert kind.get("{http://www.w3.org/2001/XMLSchema-instance}type") == "CanonicalUser"
    assert client("PUT", path, answer.body, query={"acl": ""}).status == 200
    assert client("PUT", path, query={"acl": ""}, headers={"x-amz-acl": "private"}).status == 200
    other = answer.body.replace((owner or "").encode(), b"somebody")
    assert client("PUT", path, other, query={"acl": ""}).code == "AccessDenied"
    assert client("PUT", path, b"<AccessControlPolicy/>", query={"acl": ""}).code == "MalformedACLError"
    assert client("PUT", path, b"<", query={"acl": ""}).code == "MalformedACLError"
    assert client("PUT", path, query={"acl": ""}).code == "MissingSecurityHeader"
    both = client("PUT", path, answer.body, query={"acl": ""}, headers={"x-amz-acl": "private"})
    assert both.code == "UnexpectedContent"
