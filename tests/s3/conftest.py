"""The endpoint under test and clients for it.

One server process serves all tests of a pytest worker; each test has buckets of its own. To run the same tests
against another server: S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY (and S3_REGION).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.harness.process import ACCESS_KEY, REGION, SECRET_KEY, NodeProcess
from tests.harness.raw import RawClient

_numbers = itertools.count()


@dataclass(frozen=True)
class Endpoint:
    url: str
    access_key: str
    secret_key: str
    region: str

    def boto3(self, **config: Any) -> Any:
        """A boto3 client; `config` goes to botocore's Config. No retries: a test must see the first answer."""
        options = {
            "s3": {"addressing_style": "path"},
            "retries": {"total_max_attempts": 1},
            "signature_version": "s3v4",
            "max_pool_connections": 32,
            **config,
        }
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(**options),
        )

    def raw(self) -> RawClient:
        return RawClient(self.url, self.access_key, self.secret_key, self.region)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    url = os.environ.get("S3_ENDPOINT")
    if url:
        keys = os.environ.get("S3_ACCESS_KEY", ACCESS_KEY), os.environ.get("S3_SECRET_KEY", SECRET_KEY)
        yield Endpoint(url, *keys, os.environ.get("S3_REGION", REGION))
        return
    with NodeProcess(tmp_path_factory.mktemp("node")) as node:
        yield Endpoint(node.endpoint, ACCESS_KEY, SECRET_KEY, REGION)
        assert node.running(), f"the server died during the tests\n{node.log_tail()}"


@pytest.fixture(scope="session")
def s3(endpoint: Endpoint) -> Any:
    """A boto3 client."""
    return endpoint.boto3()


@pytest.fixture(scope="session")
def raw(endpoint: Endpoint) -> RawClient:
    """Requests without an SDK."""
    return endpoint.raw()


def new_name(prefix: str = "test") -> str:
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def buckets(s3: Any) -> Callable[[], str]:
    """Makes a bucket with a new name at each call."""

    def make() -> str:
        name = new_name()
        s3.create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture
def bucket(buckets: Callable[[], str]) -> str:
    """An empty bucket."""
    return buckets()
