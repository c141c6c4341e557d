"""Users, policies and public buckets, as SDKs meet them: a real process, its file of users, its log."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness.process import ACCESS_KEY, COMMAND, REGION, SECRET_KEY, NodeProcess, environment, wait_until
from tests.s3.conftest import Endpoint


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    root = tmp_path_factory.mktemp("access")
    with NodeProcess(root, WORKERS=1, USERS_FILE=root / "users.yml") as process:
        yield process


@pytest.fixture(scope="module")
def root(node: NodeProcess) -> Any:
    client = Endpoint(node.endpoint, ACCESS_KEY, SECRET_KEY, REGION).boto3()
    client.create_bucket(Bucket="box")
    client.create_bucket(Bucket="other")
    client.put_object(Bucket="box", Key="a", Body=b"hello")
    return client


@pytest.fixture(scope="module")
def command(node: NodeProcess) -> Callable[..., Any]:
    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [*COMMAND, "user", *arguments, "--json"],
            env=environment(node.settings),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    return run


def client_of(node: NodeProcess, added: dict[str, str]) -> Any:
    return Endpoint(node.endpoint, added["access_key"], added["secret_key"], REGION).boto3()


def code(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def anonymously(node: NodeProcess, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(node.endpoint + path) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_user_from_the_first_key_to_the_last(node: NodeProcess, root: Any, command: Callable[..., Any]) -> None:
    alice = client_of(node, command("add", "alice", "--bucket", "box"))
    wait_until(lambda: not code(lambda: alice.head_bucket(Bucket="box")), "the new key works")
    assert alice.get_object(Bucket="box", Key="a")["Body"].read() == b"hello"
    alice.put_object(Bucket="box", Key="alices", Body=b"1")
    assert code(lambda: alice.list_objects_v2(Bucket="other")) == "AccessDenied"
    assert code(alice.list_buckets) == "AccessDenied"

    rotated = client_of(node, command("rotate", "alice"))
    wait_until(lambda: not code(lambda: rotated.head_bucket(Bucket="box")), "the second key works")
    wait_until(
        lambda: code(lambda: alice.get_object(Bucket="box", Key="a")) == "InvalidAccessKeyId", "the first one does not"
    )
    command("remove", "alice")
    wait_until(
        lambda: code(lambda: rotated.get_object(Bucket="box", Key="a")) == "InvalidAccessKeyId", "none works any more"
    )
    assert '"user":"alice"' in node.log()


def test_a_file_that_is_wrong_changes_nothing(node: NodeProcess, root: Any, command: Callable[..., Any]) -> None:
    carol = client_of(node, command("add", "carol", "--policy", "readonly"))
    wait_until(lambda: not code(lambda: carol.head_bucket(Bucket="box")), "the new key works")
    path = Path(str(node.settings["USERS_FILE"]))
    good = path.read_text()
    path.write_text("users: [")
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the old ones stay in force" in node.log(), "the mistake is reported")
    assert carol.get_object(Bucket="box", Key="a")["Body"].read() == b"hello"
    path.write_text(good)


def test_a_public_bucket(node: NodeProcess, root: Any) -> None:
    assert anonymously(node, "/other/x")[0] == 403
    root.put_object(Bucket="other", Key="x", Body=b"open")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    root.put_bucket_policy(Bucket="other", Policy=policy)
    assert root.get_bucket_policy(Bucket="other")["Policy"] == policy
    assert root.get_bucket_policy_status(Bucket="other")["PolicyStatus"]["IsPublic"] is True
    wait_until(lambda: anonymously(node, "/other/x") == (200, b"open"), "anyone may read")
    assert anonymously(node, "/other")[0] == 403
    assert anonymously(node, "/other/missing")[0] == 403
    assert code(lambda: root.put_bucket_policy(Bucket="other", Policy="{}")) == "MalformedPolicy"

    blocked = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    root.put_public_access_block(Bucket="other", PublicAccessBlockConfiguration=blocked)
    assert root.get_public_access_block(Bucket="other")["PublicAccessBlockConfiguration"] == blocked
    assert anonymously(node, "/other/x")[0] == 403
    root.delete_public_access_block(Bucket="other")
    root.delete_bucket_policy(Bucket="other")
    assert anonymously(node, "/other/x")[0] == 403


def test_access_control_lists(node: NodeProcess, root: Any) -> None:
    root.put_object(Bucket="box", Key="open", Body=b"open", ACL="public-read")
    assert anonymously(node, "/box/open") == (200, b"open")
    grants = root.get_object_acl(Bucket="box", Key="open")["Grants"]
    assert [(grant["Grantee"]["Type"], grant["Permission"]) for grant in grants] == [
        ("CanonicalUser", "FULL_CONTROL"),
        ("Group", "READ"),
    ]
    root.put_object_acl(Bucket="box", Key="open", ACL="private")
    assert anonymously(node, "/box/open")[0] == 403
    root.put_bucket_ownership_controls(
        Bucket="box", OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    refused = code(lambda: root.put_object(Bucket="box", Key="open", Body=b"open", ACL="public-read"))
    assert refused == "AccessControlListNotSupported"
    root.delete_bucket_ownership_controls(Bucket="box")
