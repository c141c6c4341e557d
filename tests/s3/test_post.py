"""A browser's upload, with the form that boto3 makes for it."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

from tests.unit.s3.test_form import encode


def send(url: str, fields: dict[str, str], file: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(
        url, encode(fields, file), {"Content-Type": "multipart/form-data; boundary=XX"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_form_of_boto3(s3: Any, bucket: str) -> None:
    form = s3.generate_presigned_post(
        bucket,
        "up/${filename}",
        Fields={"acl": "private", "success_action_status": "201"},
        Conditions=[{"acl": "private"}, {"success_action_status": "201"}, ["content-length-range", 1, 3 << 20]],
    )
    data = b"0123456789\r\n--X" * 100_000
    status, body = send(form["url"], form["fields"], data)
    assert (status, b"<Key>up/f.txt</Key>" in body) == (201, True), body
    assert s3.get_object(Bucket=bucket, Key="up/f.txt")["Body"].read() == data

    status, body = send(form["url"], form["fields"], b"x" * (4 << 20))
    assert (status, b"EntityTooLarge" in body) == (400, True), body
    status, body = send(form["url"], {**form["fields"], "key": "elsewhere"}, b"1")
    assert (status, b"AccessDenied" in body) == (403, True), body
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["up/f.txt"]
