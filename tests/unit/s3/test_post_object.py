"""PostObject: forms, policies, signatures, answers."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ironbucket.signature import signing_key, timestamp
from tests.unit.s3.conftest import ACCESS_KEY, SECRET_KEY, Answer, Client
from tests.unit.s3.test_form import encode

TYPE = {"Content-Type": "multipart/form-data; boundary=XX"}


def document(*conditions: Any, minutes: float = 10, **more: Any) -> bytes:
    expiration = datetime.now(UTC) + timedelta(minutes=minutes)
    content = {"expiration": expiration.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "conditions": list(conditions), **more}
    return json.dumps(content).encode()


def signed(fields: dict[str, str], policy: bytes) -> dict[str, str]:
    """The fields of a form with its policy and signature."""
    now = datetime.now(UTC)
    stamp = timestamp(now.timestamp())
    encoded = base64.b64encode(policy).decode()
    key = signing_key(SECRET_KEY, stamp[:8], "us-east-1", "s3")
    return {
        **fields,
        "policy": encoded,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{ACCESS_KEY}/{stamp[:8]}/us-east-1/s3/aws4_request",
        "x-amz-date": stamp,
        "x-amz-signature": hmac.new(key, encoded.encode(), "sha256").hexdigest(),
    }


ALWAYS = (
    {"bucket": "box"},
    ["starts-with", "$x-amz-algorithm", ""],
    ["starts-with", "$x-amz-credential", ""],
    ["starts-with", "$x-amz-date", ""],
)


def send(client: Client, fields: dict[str, str], *conditions: Any, file: bytes = b"hello", **more: Any) -> Answer:
    form = encode(signed(fields, document(*ALWAYS, *conditions, **more)), file)
    return client("POST", "/box", form, headers=TYPE, signed=False)


def test_a_file_becomes_an_object(client: Client, bucket: str) -> None:
    fields = {
        "key": "up/${filename}",
        "Content-Type": "text/plain",
        "x-amz-meta-tag": "v",
        "tagging": "<Tagging><TagSet><Tag><Key>k</Key><Value>a b</Value></Tag></TagSet></Tagging>",
        "acl": "public-read",
        "x-ignore-me": "1",
    }
    answer = send(
        client,
        fields,
        ["starts-with", "$key", "up/"],
        ["starts-with", "$Content-Type", "text/"],
        ["starts-with", "$x-amz-meta-tag", ""],
        ["starts-with", "$tagging", ""],
        {"acl": "public-read"},
        ["content-length-range", 1, 10],
    )
    assert answer.status == 204, answer.body
    assert answer.headers["etag"] == '"5d41402abc4b2a76b9719d911017c592"'
    stored = client("GET", "/box/up/f.txt", signed=False)
    assert (stored.body, stored.headers["content-type"], stored.headers["x-amz-meta-tag"]) == (
        b"hello",
        "text/plain",
        "v",
    )
    assert client("GET", "/box/up/f.txt", query="tagging").text("TagSet/Tag/Value") == "a b"


def test_the_answer_that_is_asked_for(client: Client, bucket: str) -> None:
    def post(**fields: str) -> Answer:
        return send(
            client, {"key": "a", **fields}, ["eq", "$key", "a"], *(["eq", f"${n}", v] for n, v in fields.items())
        )

    created = post(success_action_status="201")
    assert (created.status, created.text("Key"), created.text("Bucket")) == (201, "a", "box")
    assert created.text("Location") == created.headers["location"] == "http://127.0.0.1:9000/box/a"
    assert post(success_action_status="200").status == 200
    assert post(success_action_status="418").status == 204
    redirect = post(success_action_redirect="http://example.com/done?x=1")
    assert redirect.status == 303
    assert redirect.headers["location"] == (
        "http://example.com/done?x=1&bucket=box&key=a&etag=%225d41402abc4b2a76b9719d911017c592%22"
    )
    assert post(success_action_redirect="javascript:alert(1)").status == 204


@pytest.mark.parametrize(
    ("fields", "conditions", "status", "code"),
    [
        ({"key": "a"}, [], 403, "AccessDenied"),
        ({"key": "a"}, [["eq", "$key", "b"]], 403, "AccessDenied"),
        ({"key": "a"}, [["starts-with", "$key", "b"]], 403, "AccessDenied"),
        ({"key": "a"}, [{"key": "a"}, {"acl": "private"}], 403, "AccessDenied"),
        ({"key": "a", "acl": "public-read"}, [{"key": "a"}], 403, "AccessDenied"),
        ({"key": "a"}, [{"key": "a"}, ["content-length-range", 0, 4]], 400, "EntityTooLarge"),
        ({"key": "a"}, [{"key": "a"}, ["content-length-range", 6, 10]], 400, "EntityTooSmall"),
        ({"key": "a"}, [{"key": "a"}, ["content-length-range", 6, 5]], 400, "InvalidPolicyDocument"),
        ({"key": "a"}, [{"key": "a"}, ["content-length-range", "x", 5]], 400, "InvalidPolicyDocument"),
        ({"key": "a"}, [{"key": "a"}, ["like", "$key", "a"]], 400, "InvalidPolicyDocument"),
        ({"key": "a"}, [{"key": "a"}, ["eq", "key", "a"]], 400, "InvalidPolicyDocument"),
        ({"key": "a"}, [{"key": 1}], 400, "InvalidPolicyDocument"),
        ({"key": "a"}, [7], 400, "InvalidPolicyDocument"),
        ({}, [], 400, "InvalidArgument"),
        ({"key": "x" * 1025}, [["starts-with", "$key", ""]], 400, "KeyTooLongError"),
        ({"key": "a", "acl": "everyone"}, [{"key": "a"}, {"acl": "everyone"}], 400, "InvalidArgument"),
        ({"key": "a", "tagging": "x"}, [{"key": "a"}, {"tagging": "x"}], 400, "MalformedXML"),
        ({"key": "a", "Content-MD5": "x"}, [{"key": "a"}, {"content-md5": "x"}], 400, "InvalidDigest"),
        ({"key": "a", "x-amz-security-token": "t"}, [{"key": "a"}], 400, "InvalidToken"),
        ({"key": "a", "signature": "t"}, [{"key": "a"}], 400, "InvalidRequest"),
    ],
)
def test_what_the_policy_forbids(
    client: Client, bucket: str, fields: dict[str, str], conditions: list[Any], status: int, code: str
) -> None:
    answer = send(client, fields, *conditions)
    assert (answer.status, answer.code) == (status, code), answer.body
    assert client("GET", "/box").texts("Contents/Key") == []


def test_documents_that_are_none(client: Client, bucket: str) -> None:
    def post(policy: bytes) -> str | None:
        return client("POST", "/box", encode(signed({"key": "a"}, policy), b"1"), headers=TYPE, signed=False).code

    assert post(b"nonsense") == "InvalidPolicyDocument"
    assert post(b"[]") == "InvalidPolicyDocument"
    assert post(b'{"conditions": []}') == "InvalidPolicyDocument"
    assert post(b'{"expiration": "soon", "conditions": []}') == "InvalidPolicyDocument"
    assert post(b'{"expiration": "2099-01-01T00:00:00Z"}') == "InvalidPolicyDocument"
    assert post(b'{"expiration": "2001-01-01T00:00:00Z", "conditions": []}') == "AccessDenied"
    assert post(document(*ALWAYS, {"bucket": "other"}, {"key": "a"})) == "AccessDenied"


def test_signatures(client: Client, bucket: str) -> None:
    good = signed({"key": "a"}, document(*ALWAYS, {"key": "a"}))

    def post(**changes: str | None) -> str | None:
        fields = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return client("POST", "/box", encode(fields, b"1"), headers=TYPE, signed=False).code

    assert post() is None
    assert post(**{"x-amz-signature": "0" * 64}) == "SignatureDoesNotMatch"
    assert post(**{"x-amz-credential": good["x-amz-credential"].replace("root", "nobody")}) == "InvalidAccessKeyId"
    assert post(**{"x-amz-credential": good["x-amz-credential"].replace("us-east-1", "eu")}) == "InvalidArgument"
    assert post(**{"x-amz-algorithm": "x"}) == "InvalidArgument"
    assert post(**{"x-amz-date": None}) == "InvalidArgument"
    assert post(policy=None) == "InvalidArgument"
    assert post(policy=good["policy"] + "A") == "SignatureDoesNotMatch"


def test_without_a_policy_it_is_anyones(client: Client, bucket: str) -> None:
    form = encode({"key": "a"}, b"1")
    assert client("POST", "/box", form, headers=TYPE, signed=False).code == "AccessDenied"
    assert client("PUT", "/box", query="acl", headers={"x-amz-acl": "public-read-write"}).status == 200
    assert client("POST", "/box", form, headers=TYPE, signed=False).status == 204
    assert client("GET", "/box/a").body == b"1"


def test_requests_that_are_no_form(client: Client, bucket: str) -> None:
    assert client("POST", "/box", b"x", signed=False).code == "PreconditionFailed"
    assert client("POST", "/box", b"x", headers=TYPE).code == "InvalidRequest"
    assert client("POST", "/box", b"x", headers=TYPE, signed=False).code == "MalformedPOSTRequest"
    no_file = encode({"key": "a"}, None)
    assert client("POST", "/box", no_file, headers=TYPE, signed=False).code == "InvalidArgument"
    assert client("POST", "/nowhere", encode({"key": "a"}, b""), headers=TYPE, signed=False).code == "NoSuchBucket"
