"""What tests of S3 ask again and again: does this call fail with this code, is this what is stored."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError


class Failure:
    """What a refused call said; filled in when the block of `fails` ends."""

    response: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.response["Error"].get("Message", ""))


@contextlib.contextmanager
def fails(code: str, status: int) -> Iterator[Failure]:
    """The block must raise botocore's ClientError with this S3 code and HTTP status."""
    failure = Failure()
    with pytest.raises(ClientError) as caught:
        yield failure
    failure.response = caught.value.response
    found = failure.response["Error"]["Code"], failure.response["ResponseMetadata"]["HTTPStatusCode"]
    assert found == (code, status), f"{found}: {failure.response['Error']}"


def body(s3: Any, bucket: str, key: str, **arguments: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()
    return data


def missing(s3: Any, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404)
    return False


def etag(data: bytes) -> str:
    """The ETag header of an object put whole, with its quotes."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def content_md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
