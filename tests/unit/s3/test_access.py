"""Who may do what, from the request to the decision: users, bucket policies, ACLs, anonymous requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ironbucket.s3.credentials import Credentials, User
from ironbucket.s3.policy import parse_identity
from tests.unit.s3.conftest import ACCESS_KEY, SECRET_KEY, Client

CLOSED = b"</PublicAccessBlockConfiguration>"
ALICE, BOB = ("ALICEKEY", "the secret of alice"), ("BOBKEY", "the secret of bob")


def statement(*actions: str, effect: str = "Allow", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def own(client: Client, alice: dict[str, Any] | None = None, bob: dict[str, Any] | None = None) -> None:
    """Give the users these statements."""
    users = [
        User(name, dict([keys]), (parse_identity({"Statement": [one]}),) if one else ())
        for name, keys, one in (("alice", ALICE, alice), ("bob", BOB, bob))
    ]
    client.app.config["credentials"] = Credentials({ACCESS_KEY: (SECRET_KEY, "ironbucket")}, users)


@pytest.fixture
def alice(client: Client, bucket: str) -> Client:
    own(client)
    client("PUT", "/box/a", b"hello")
    return client.of(*ALICE)


def grant(client: Client, *statements: dict[str, Any]) -> None:
    answer = client("PUT", "/box", policy(*statements).encode(), query="policy")
    assert answer.status == 204, answer.body


def to_all(*actions: str, **more: Any) -> dict[str, Any]:
    return statement(*actions, **{"Principal": "*", "resource": "arn:aws:s3:::box/*", **more})


def test_a_user_without_a_policy_may_do_nothing(client: Client, alice: Client) -> None:
    for method, path in (("GET", "/"), ("GET", "/box"), ("GET", "/box/a"), ("PUT", "/box/b"), ("DELETE", "/box/a")):
        answer = alice(method, path)
        assert (answer.status, answer.code) == (403, "AccessDenied"), (method, path)
    assert alice("PUT", "/new").status == 403
    assert client("HEAD", "/box/b").status == 404


def test_a_user_may_do_what_the_policy_says(client: Client, alice: Client) -> None:
    own(client, statement("s3:GetObject", "s3:PutObject", resource="arn:aws:s3:::box/*"))
    assert alice("GET", "/box/a").body == b"hello"
    assert alice("PUT", "/box/b", b"1").status == 200
    assert alice("DELETE", "/box/b").status == 403
    assert alice("GET", "/box").status == 403
    tagged = alice("PUT", "/box/b", b"1", headers={"x-amz-tagging": "a=1"})
    assert tagged.status == 403
    assert alice("PUT", "/box/b", b"1", headers={"x-amz-acl": "public-read"}).status == 403
    assert alice("GET", "/box/a", query={"versionId": "null"}).status == 403


def test_who_may_not_list_is_not_told_what_is_missing(client: Client, alice: Client) -> None:
    own(client, statement("s3:GetObject", resource="arn:aws:s3:::box/*"))
    assert alice("GET", "/box/missing").code == "AccessDenied"
    own(client, statement("s3:GetObject", "s3:ListBucket", resource=["arn:aws:s3:::box", "arn:aws:s3:::box/*"]))
    assert alice("GET", "/box/missing").code == "NoSuchKey"


def test_a_bucket_policy_names_users(client: Client, alice: Client) -> None:
    grant(client, to_all("s3:GetObject", Principal={"AWS": "arn:aws:iam::000000000000:user/alice"}))
    assert alice("GET", "/box/a").status == 200
    assert client.of(*BOB)("GET", "/box/a").status == 403
    assert client("GET", "/box/a", signed=False).status == 403


def test_an_explicit_deny_wins_but_not_over_the_account(client: Client, alice: Client) -> None:
    own(client, statement("s3:*"))
    grant(client, to_all("s3:*", effect="Deny"))
    assert alice("GET", "/box/a").status == 403
    assert alice("GET", "/box").status == 200
    assert client("GET", "/box/a").status == 200


def test_a_prefix(client: Client, alice: Client) -> None:
    condition = {"StringLike": {"s3:prefix": "home/${aws:username}/*"}}
    client.app.config["credentials"] = Credentials(
        {ACCESS_KEY: (SECRET_KEY, "ironbucket")},
        [User("alice", dict([ALICE]), (parse_identity(policy(statement("s3:ListBucket", Condition=condition))),))],
    )
    assert alice("GET", "/box", query={"prefix": "home/alice/"}).status == 200
    assert alice("GET", "/box", query={"prefix": "home/bob/"}).status == 403
    assert alice("GET", "/box").status == 403


def test_anonymous_requests_need_a_policy(client: Client, alice: Client) -> None:
    assert client("GET", "/box/a", signed=False).code == "AccessDenied"
    assert client("GET", "/nowhere/a", signed=False).code == "NoSuchBucket"
    grant(client, to_all("s3:GetObject"))
    answer = client("GET", "/box/a", signed=False)
    assert (answer.status, answer.body) == (200, b"hello")
    assert client("GET", "/box/missing", signed=False).code == "AccessDenied"
    assert client("GET", "/box/a", query={"response-content-type": "text/x"}, signed=False).code == "InvalidRequest"
    assert client("PUT", "/box/a", b"x", signed=False).status == 403
    grant(client, to_all("s3:PutObject"))
    assert client("PUT", "/box/b", b"theirs", signed=False).status == 200
    assert client("GET", "/box/b").body == b"theirs"
    assert client("GET", "/", signed=False).status == 403


def test_addresses_and_proxies(client: Client, alice: Client) -> None:
    grant(client, to_all("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/24"}}))
    forwarded = {"X-Forwarded-For": "1.2.3.4, 10.0.0.7"}
    assert client("GET", "/box/a", headers=forwarded, signed=False).status == 403
    client.app.access.trust(["127.0.0.1/32"])
    assert client("GET", "/box/a", headers=forwarded, signed=False).status == 200
    assert client("GET", "/box/a", headers={"X-Forwarded-For": "10.0.0.7, 1.2.3.4"}, signed=False).status == 403
    assert client("GET", "/box/a", headers={"X-Forwarded-For": "nonsense"}, signed=False).status == 403
    client.app.access.trust(["127.0.0.1/32", "10.0.0.7/32"])
    assert client("GET", "/box/a", headers=forwarded, signed=False).status == 403
    client.remote = "10.0.0.9"
    assert client("GET", "/box/a", signed=False).status == 200


def test_secure_transport(client: Client, alice: Client) -> None:
    own(client, statement("s3:*"))
    grant(client, to_all("s3:*", effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    secure = {"X-Forwarded-Proto": "https"}
    assert alice("GET", "/box/a").status == 403
    assert alice("GET", "/box/a", headers=secure).status == 403
    client.app.access.trust(["127.0.0.1/32"])
    assert alice("GET", "/box/a", headers=secure).status == 200


def test_tags(client: Client, alice: Client) -> None:
    client("PUT", "/box/open", b"1", headers={"x-amz-tagging": "level=public"})
    grant(
        client,
        to_all("s3:GetObject", Condition={"StringEquals": {"s3:ExistingObjectTag/level": "public"}}),
        to_all(
            "s3:PutObject",
            "s3:PutObjectTagging",
            Principal={"AWS": "alice"},
            Condition={"StringEquals": {"s3:RequestObjectTag/team": "red"}},
        ),
    )
    assert client("GET", "/box/open", signed=False).status == 200
    assert client("GET", "/box/a", signed=False).status == 403
    assert client("GET", "/box/missing", signed=False).status == 403
    assert alice("PUT", "/box/b", b"1", headers={"x-amz-tagging": "team=red"}).status == 200
    assert alice("PUT", "/box/b", b"1", headers={"x-amz-tagging": "team=blue"}).status == 403
    assert alice("PUT", "/box/b", b"1").status == 403


def test_deleting_many_asks_for_each(client: Client, alice: Client) -> None:
    own(client, statement("s3:DeleteObject", resource="arn:aws:s3:::box/a"))
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>"
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = alice("POST", "/box", body, query="delete", headers={"Content-MD5": digest})
    assert (answer.texts("Deleted/Key"), answer.texts("Error/Key")) == (["a"], ["b"])
    assert answer.text("Error/Code") == "AccessDenied"


def test_a_copy_reads_its_source(client: Client, alice: Client) -> None:
    own(client, statement("s3:PutObject", resource="arn:aws:s3:::box/*"))
    assert alice("PUT", "/box/b", headers={"x-amz-copy-source": "box/a"}).status == 403
    own(client, statement("s3:PutObject", "s3:GetObject", resource="arn:aws:s3:::box/*"))
    assert alice("PUT", "/box/b", headers={"x-amz-copy-source": "box/a"}).status == 200


def test_public_access_block(client: Client, alice: Client) -> None:
    def block(**blocks: bool) -> None:
        body = "".join(f"<{name}>{str(value).lower()}</{name}>" for name, value in blocks.items())
        document = f"<PublicAccessBlockConfiguration>{body}</PublicAccessBlockConfiguration>".encode()
        assert client("PUT", "/box", document, query="publicAccessBlock").status == 200

    public = policy(to_all("s3:GetObject")).encode()
    block(BlockPublicPolicy=True)
    assert client("PUT", "/box", public, query="policy").code == "AccessDenied"
    assert client("GET", "/box", query="policy").code == "NoSuchBucketPolicy"
    block(BlockPublicAcls=True)
    assert client("GET", "/box", query="publicAccessBlock").text("BlockPublicAcls") == "true"
    assert client("PUT", "/box", query="acl", headers={"x-amz-acl": "public-read"}).code == "AccessDenied"
    assert client("PUT", "/box/b", b"1", headers={"x-amz-acl": "public-read"}).code == "AccessDenied"
    assert client("HEAD", "/box/b").status == 404
    assert client("PUT", "/box/b", b"1", headers={"x-amz-acl": "private"}).status == 200
    assert client("PUT", "/box", public, query="policy").status == 204
    assert client("GET", "/box", query="policyStatus").text("IsPublic") == "true"
    assert client("GET", "/box/a", signed=False).status == 200
    block(RestrictPublicBuckets=True)
    assert client("GET", "/box/a", signed=False).status == 403
    assert alice("GET", "/box/a").status == 200
    assert client("DELETE", "/box", query="publicAccessBlock").status == 204
    assert client("GET", "/box/a", signed=False).status == 200
    for bad in (b"<PublicAccessBlockConfiguration><X>true</X></PublicAccessBlockConfiguration>", b"<x/>", b""):
        assert client("PUT", "/box", bad, query="publicAccessBlock").code == "MalformedXML"


def test_acls(client: Client, alice: Client) -> None:
    assert client("PUT", "/box/a", query="acl", headers={"x-amz-acl": "public-read"}).status == 200
    assert client("GET", "/box/a", signed=False).body == b"hello"
    assert client("GET", "/box/a", query="acl", signed=False).status == 403
    assert client("GET", "/box", signed=False).status == 403
    shown = client("GET", "/box/a", query="acl")
    assert shown.texts("AccessControlList/Grant/Permission") == ["FULL_CONTROL", "READ"]
    assert shown.text("AccessControlList/Grant/Grantee/URI") == "http://acs.amazonaws.com/groups/global/AllUsers"
    assert client("PUT", "/box/a", shown.body, query="acl").status == 200
    assert client("GET", "/box/a", query="acl").body == shown.body

    assert client("PUT", "/box/b", b"1", headers={"x-amz-acl": "authenticated-read"}).status == 200
    assert client("GET", "/box/b", signed=False).status == 403
    assert alice("GET", "/box/b").status == 200
    assert client("PUT", "/box/b", query="acl", headers={"x-amz-acl": "private"}).status == 200
    assert alice("GET", "/box/b").status == 403

    assert client("PUT", "/box", query="acl", headers={"x-amz-acl": "public-read-write"}).status == 200
    assert client("GET", "/box", signed=False).status == 200
    assert client("PUT", "/box/c", b"1", signed=False).status == 200
    assert client("GET", "/box/c", signed=False).status == 403
    block = b"<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls>" + CLOSED
    assert client("PUT", "/box", block, query="publicAccessBlock").status == 200
    assert client("GET", "/box", signed=False).status == 403
    assert client("GET", "/box/a", signed=False).status == 403


def test_ownership_controls_switch_acls_off(client: Client, alice: Client) -> None:
    def controls(value: str) -> bytes:
        return (
            f"<OwnershipControls><Rule><ObjectOwnership>{value}</ObjectOwnership></Rule></OwnershipControls>".encode()
        )

    client("PUT", "/box/a", query="acl", headers={"x-amz-acl": "public-read"})
    client("PUT", "/box", query="acl", headers={"x-amz-acl": "public-read"})
    enforced = controls("BucketOwnerEnforced")
    refused = client("PUT", "/box", enforced, query="ownershipControls")
    assert refused.code == "InvalidBucketAclWithObjectOwnership"
    client("PUT", "/box", query="acl", headers={"x-amz-acl": "private"})
    assert client("PUT", "/box", enforced, query="ownershipControls").status == 200
    assert client("GET", "/box", query="ownershipControls").text("Rule/ObjectOwnership") == "BucketOwnerEnforced"
    assert client("GET", "/box/a", signed=False).status == 403
    for path in ("/box", "/box/a"):
        answer = client("PUT", path, query="acl", headers={"x-amz-acl": "public-read"})
        assert (answer.status, answer.code) == (400, "AccessControlListNotSupported")
    assert client("PUT", "/box/b", b"1", headers={"x-amz-acl": "private"}).code == "AccessControlListNotSupported"
    assert client("PUT", "/box/b", b"1", headers={"x-amz-acl": "bucket-owner-full-control"}).status == 200
    assert client("DELETE", "/box", query="ownershipControls").status == 204
    assert client("GET", "/box", query="ownershipControls").code == "OwnershipControlsNotFoundError"
    for bad in (controls("Nobody"), b"<OwnershipControls/>"):
        assert client("PUT", "/box", bad, query="ownershipControls").code == "MalformedXML"


def test_a_policy_is_given_back_as_it_was_put(client: Client, bucket: str) -> None:
    text = json.dumps(json.loads(policy(to_all("s3:GetObject"))), indent=3).encode()
    assert client("PUT", "/box", text, query="policy").status == 204
    answer = client("GET", "/box", query="policy")
    assert (answer.body, answer.headers["content-type"]) == (text, "application/json")
    assert client("GET", "/box", query="policyStatus").text("IsPublic") == "true"
    for bad in (b"", b"{}", b"\xff", b"{" + b" " * 21000 + b"}", policy(statement("s3:*", Principal="*")).encode()):
        assert client("PUT", "/box", bad, query="policy").code == "MalformedPolicy"
        assert client("GET", "/box", query="policy").body == text
    assert client("PUT", "/box", b"{" + b" " * 50000, query="policy").code == "MaxMessageLengthExceeded"
    assert client("DELETE", "/box", query="policy").status == 204
    assert client("GET", "/box", query="policy").code == "NoSuchBucketPolicy"
    assert client("GET", "/box", query="policyStatus").code == "NoSuchBucketPolicy"


def test_the_server_is_told_who_it_was(client: Client, alice: Client) -> None:
    alice("GET", "/box/a")
    assert (alice.environ["ironbucket.user"], alice.environ["ironbucket.access_key"]) == ("alice", "ALICEKEY")


def test_the_account_costs_no_look_up(client: Client, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(client.app.access, "bucket", fail)
    assert client("GET", "/box/a").status == 200


def test_a_hidden_client_is_the_proxy(client: Client, alice: Client) -> None:
    client.app.access.trust(["127.0.0.1/32"])
    grant(client, to_all("s3:GetObject", Condition={"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}))
    assert client("GET", "/box/a", headers={"X-Forwarded-For": "unknown"}, signed=False).status == 403
    assert client("GET", "/box/a", headers={"X-Forwarded-For": "1.2.3.4"}, signed=False).status == 200


def test_an_upload_in_parts_keeps_its_acl(client: Client, alice: Client) -> None:
    begun = client("POST", "/box/parts", query="uploads", headers={"x-amz-acl": "public-read"})
    upload = {"uploadId": begun.text("UploadId") or ""}
    etag = client("PUT", "/box/parts", b"1", query={**upload, "partNumber": "1"}).headers["etag"]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag.strip(chr(34))}</ETag></Part>"
    whole = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    assert client("POST", "/box/parts", whole, query=upload).status == 200
    assert client("GET", "/box/parts", signed=False).body == b"1"
    assert client("PUT", "/box/copy", headers={"x-amz-copy-source": "box/parts"}).status == 200
    assert client("GET", "/box/copy", signed=False).status == 403


@pytest.mark.parametrize("text", ["policy", "cors", "acl", "publicAccessBlock", "ownershipControls"])
@pytest.mark.parametrize("body", [b"", b"\x00", b"<", b"{", b"<!DOCTYPE a><a/>", b"<a>" * 40, b"[" * 3000])
def test_nonsense_is_refused_and_changes_nothing(client: Client, bucket: str, text: str, body: bytes) -> None:
    before = client("GET", "/box", query=text)
    answer = client("PUT", "/box", body, query=text)
    assert answer.status == 400, answer.body
    after = client("GET", "/box", query=text)
    assert (after.status, after.code) == (before.status, before.code)
