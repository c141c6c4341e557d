"""Many clients at once: reads never mix, one conditional writer wins, uploads do not wait for each other."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness.raw import RawClient
from tests.harness.signing import UNSIGNED
from tests.s3.expect import body, missing


@pytest.mark.parametrize("size", [100, 300_000])
def test_reads_during_overwrites_are_of_one_version(s3: Any, bucket: str, size: int) -> None:
    def content(number: int) -> bytes:
        return number.to_bytes(4, "big") * (size + number)

    s3.put_object(Bucket=bucket, Key="k", Body=content(0))
    stop = threading.Event()
    mixed: list[str] = []
    reads = 0

    def read() -> None:
        nonlocal reads
        while not stop.is_set():
            answer = s3.get_object(Bucket=bucket, Key="k")
            data = answer["Body"].read()
            number = int.from_bytes(data[:4], "big")
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if data != content(number) or answer["ETag"] != f'"{digest}"' or answer["ContentLength"] != len(data):
                mixed.append(f"{len(data)} bytes that begin with {number}")
            reads += 1

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(1, 60):
        s3.put_object(Bucket=bucket, Key="k", Body=content(number))
    while reads < 60:
        s3.put_object(Bucket=bucket, Key="k", Body=content(60))
    stop.set()
    for reader in readers:
        reader.join()
    assert not mixed


def test_a_reader_finishes_what_it_began_although_the_object_goes(raw: RawClient, s3: Any, bucket: str) -> None:
    data = os.urandom(20 << 20)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    answer = s3.get_object(Bucket=bucket, Key="k")
    received = answer["Body"].read(100_000)
    s3.put_object(Bucket=bucket, Key="k", Body=b"other")
    s3.delete_object(Bucket=bucket, Key="k")
    assert received + answer["Body"].read() == data


def test_one_of_many_conditional_creates_wins(s3: Any, bucket: str) -> None:
    def create(number: int) -> int | None:
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
            return None
        return number

    with ThreadPoolExecutor(16) as pool:
        for turn in range(10):
            key = f"k{turn}"
            winners = [number for number in pool.map(create, range(16)) if number is not None]
            assert len(winners) == 1
            assert body(s3, bucket, key) == str(winners[0]).encode()


def test_a_counter_by_compare_and_swap_loses_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="n", Body=b"0")

    def increment(times: int) -> None:
        done = 0
        while done < times:
            current = s3.get_object(Bucket=bucket, Key="n")
            following = str(int(current["Body"].read()) + 1).encode()
            try:
                s3.put_object(Bucket=bucket, Key="n", Body=following, IfMatch=current["ETag"])
                done += 1
            except ClientError as error:
                assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, [15] * 4))
    assert body(s3, bucket, "n") == b"60"


def test_an_upload_in_progress_delays_neither_reads_nor_writes_of_its_key(raw: RawClient, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    headers = raw.signer.header("PUT", raw.host, f"/{bucket}/k", digest=UNSIGNED)
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    with raw.connect() as connection:
        connection.sendall(f"PUT /{bucket}/k HTTP/1.1\r\n{lines}Content-Length: 10\r\n\r\n12345".encode())
        assert body(s3, bucket, "k") == b"old"
        s3.put_object(Bucket=bucket, Key="k", Body=b"between")
        assert body(s3, bucket, "k") == b"between"
        connection.sendall(b"67890")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert body(s3, bucket, "k") == b"1234567890"


def test_puts_and_deletes_of_one_key_end_in_one_state(s3: Any, bucket: str) -> None:
    def put(number: int) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=bytes([number]) * 1000)

    def delete(_: int) -> None:
        s3.delete_object(Bucket=bucket, Key="k")

    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(put, number)
            pool.submit(delete, number)
    listed = s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    if listed:
        data = body(s3, bucket, "k")
        assert data == data[:1] * 1000
    else:
        assert missing(s3, bucket, "k")


def test_what_one_connection_wrote_every_other_one_reads(s3: Any, raw: RawClient, bucket: str) -> None:
    """Workers share one index: a write answered by one is seen by the next request, whichever worker takes it."""
    for number in range(60):
        data = str(number).encode()
        assert raw.request("PUT", bucket, "k", body=data).status == 200
        assert [raw.request("GET", bucket, "k").body for _ in range(3)] == [data] * 3
        listed = raw.request("GET", bucket, query={"list-type": "2"}).xml()
        assert listed.findtext("Contents/Size") == str(len(data))


def test_creating_and_deleting_a_bucket_at_once(s3: Any, bucket: str) -> None:
    """A put into a bucket that is being deleted either fails or keeps the bucket."""

    def put(number: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchBucket"
            return False
        return True

    def drop(_: int) -> None:
        try:
            s3.delete_bucket(Bucket=bucket)
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("BucketNotEmpty", "NoSuchBucket")

    with ThreadPoolExecutor(8) as pool:
        dropping = [pool.submit(drop, i) for i in range(4)]
        stored = [number for number, done in enumerate(pool.map(put, range(20))) if done]
        for future in dropping:
            future.result()
    for number in stored:
        assert body(s3, bucket, f"k{number}") == b"x"
