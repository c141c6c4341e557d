#!/opt/client/bin/python
"""A real S3 client (boto3) for the scenarios.

    s3.py smoke ENDPOINT              the everyday operations, once; fails at the first that is wrong
    s3.py load ENDPOINT LEDGER        write and delete objects until SIGTERM; each acknowledged change goes to LEDGER
    s3.py check ENDPOINT LEDGER...    everything in LEDGER is there as it was acknowledged; exit status 1 if not
    s3.py list ENDPOINT               one line for each object: bucket, key, ETag, size

Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. `load` retries as SDKs do (standard mode) and counts
what fails nevertheless.
"""

import hashlib
import json
import os
import random
import signal
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

WRITERS = 4
#: bytes, most of them small; the largest take nginx's streaming path
SIZES = (0, 1, *[1000] * 20, *[20_000] * 16, 300_000, 1_500_000)


def connect(endpoint: str, attempts: int = 10):
    """An S3 client with path-style addresses and `attempts` tries for each request."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=WRITERS,
        ),
    )


def content(key: str, size: int) -> bytes:
    """The bytes of an object: another sequence for each key."""
    block = hashlib.sha512(key.encode()).digest() * 16
    return (block * (size // len(block) + 1))[:size]


def expect(what: str, found, wanted) -> None:
    """Fail, saying what, unless both are equal."""
    if found != wanted:
        raise SystemExit(f"{what}: {found!r:.200} instead of {wanted!r:.200}")


def smoke(endpoint: str) -> None:
    """The everyday operations."""
    s3 = connect(endpoint)
    bucket = f"smoke-{time.time_ns()}"
    s3.create_bucket(Bucket=bucket)
    expect("buckets", bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]], True)
    keys = ["a", "a/b", "a//c", "ä ö/ü+%20.txt", "z" * 200]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=content(key, 5000), Metadata={"name": "value"})
    for key in keys:
        got = s3.get_object(Bucket=bucket, Key=key)
        expect(f"body of {key}", got["Body"].read(), content(key, 5000))
        expect(f"metadata of {key}", got["Metadata"], {"name": "value"})
    listed = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    expect("keys", [c["Key"] for c in listed["Contents"]], ["a", "z" * 200])
    expect("prefixes", [p["Prefix"] for p in listed["CommonPrefixes"]], ["a/", "ä ö/"])
    ranged = s3.get_object(Bucket=bucket, Key="a", Range="bytes=100-199")
    expect("range", ranged["Body"].read(), content("a", 5000)[100:200])

    large = content("large", 11 << 20)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    parts = []
    for number in (1, 2, 3):
        part = s3.upload_part(
            Bucket=bucket,
            Key="large",
            UploadId=upload,
            PartNumber=number,
            Body=large[(number - 1) * (5 << 20) :][: 5 << 20],
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="large", UploadId=upload, MultipartUpload={"Parts": parts})
    expect("multipart body", s3.get_object(Bucket=bucket, Key="large")["Body"].read() == large, True)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "large"})
    expect("copy", s3.head_object(Bucket=bucket, Key="copy")["ContentLength"], len(large))

    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys, "large", "copy"]]})
    expect("after deletion", s3.list_objects_v2(Bucket=bucket).get("KeyCount"), 0)
    s3.delete_bucket(Bucket=bucket)


class Load:
    """Writers that go on until told to stop. One line of the ledger: time, operation, key, size, or the error."""

    def __init__(self, endpoint: str, ledger: str) -> None:
        self.s3 = connect(endpoint)
        self.bucket = "load-" + os.path.basename(ledger).split(".")[0]
        self.ledger = open(ledger, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - `run` closes it
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.failed = 0

    def note(self, operation: str, key: str, size: int = 0, error: str = "") -> None:
        with self.lock:
            line = {"time": time.time(), "operation": operation, "bucket": self.bucket, "key": key, "size": size}
            self.ledger.write(json.dumps(line | ({"error": error} if error else {})) + "\n")
            self.failed += bool(error)

    def attempt(self, operation: str, key: str, size: int = 0) -> None:
        try:
            if operation == "PUT":
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=content(key, size))
            elif operation == "DELETE":
                self.s3.delete_object(Bucket=self.bucket, Key=key)
            else:
                self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=10)
        except (BotoCoreError, ClientError) as error:
            self.note(operation, key, size, f"{type(error).__name__}: {error}")
        else:
            self.note(operation, key, size)

    def write(self, number: int) -> None:
        """Each key is written once, and perhaps deleted by the same writer: what must be there is never in doubt."""
        choose = random.Random(number)
        written: list[str] = []
        count = 0
        while not self.stop.is_set():
            count += 1
            key = f"writer-{number}/{count:06d}"
            self.attempt("PUT", key, choose.choice(SIZES))
            written.append(key)
            if count % 10 == 0:
                self.attempt("DELETE", written.pop(choose.randrange(len(written))))
            if count % 25 == 0:
                self.attempt("LIST", f"writer-{number}/")
            self.stop.wait(0.2)

    def run(self) -> int:
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        self.s3.create_bucket(Bucket=self.bucket)
        self.note("CREATE_BUCKET", "")
        threads = [threading.Thread(target=self.write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.ledger.close()
        return 1 if self.failed else 0


class Account:
    """What a ledger says: place -> size, or None where it was deleted; and places where a change failed."""

    def __init__(self, ledger: str) -> None:
        self.acknowledged: dict[tuple[str, str], int | None] = {}
        self.unsure: set[tuple[str, str]] = set()
        self.failed = 0
        with open(ledger, encoding="utf-8") as file:
            for entry in map(json.loads, file):
                place = (entry["bucket"], entry["key"])
                if entry["operation"] not in {"PUT", "DELETE"}:
                    continue
                if "error" in entry:  # it may have happened or not
                    self.unsure.add(place)
                    self.failed += 1
                else:
                    self.acknowledged[place] = entry["size"] if entry["operation"] == "PUT" else None

    def stored(self, s3) -> dict[tuple[str, str], str]:
        """Place -> ETag of everything in the ledger's buckets."""
        found = {}
        for bucket in {bucket for bucket, _ in self.acknowledged}:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                found |= {(bucket, entry["Key"]): entry["ETag"].strip('"') for entry in page.get("Contents", [])}
        return found

    def compare(self, s3) -> list[str]:
        """What is wrong: sentences."""
        stored = self.stored(s3)
        sure = self.acknowledged.keys() - self.unsure
        wanted = {place for place in sure if self.acknowledged[place] is not None}
        wrong = [f"{place}: was acknowledged, and is not there" for place in wanted - stored.keys()]
        wrong += [f"{place}: was deleted, and is there" for place in (sure - wanted) & stored.keys()]
        wrong += [f"{place}: nobody wrote it" for place in stored.keys() - self.acknowledged.keys() - self.unsure]
        for place in wanted & stored.keys():
            if stored[place] != hashlib.md5(content(place[1], self.acknowledged[place] or 0)).hexdigest():
                wrong.append(f"{place}: has other contents")
        some = sorted(wanted & stored.keys())
        for bucket, key in random.Random(0).sample(some, min(40, len(some))):
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            if body != content(key, self.acknowledged[bucket, key] or 0):
                wrong.append(f"{bucket}/{key}: reads back as something else")
        return wrong


def check(endpoint: str, ledgers: list[str]) -> int:
    """Compare what is stored with what was acknowledged."""
    s3 = connect(endpoint, attempts=3)
    accounts = [Account(ledger) for ledger in ledgers]
    wrong = [sentence for account in accounts for sentence in account.compare(s3)]
    changes = sum(len(account.acknowledged) for account in accounts)
    failed = sum(account.failed for account in accounts)
    print(json.dumps({"changes": changes, "not_acknowledged": failed, "wrong": wrong[:20], "wrong_count": len(wrong)}))
    return 1 if wrong else 0


def show(endpoint: str) -> None:
    """Everything that is stored."""
    s3 = connect(endpoint)
    for bucket in s3.list_buckets()["Buckets"]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for entry in page.get("Contents", []):
                print(bucket["Name"], entry["Key"], entry["ETag"], entry["Size"])


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    command, endpoint, *ledgers = arguments
    if command == "smoke":
        smoke(endpoint)
    elif command == "list":
        show(endpoint)
    elif command == "load":
        return Load(endpoint, ledgers[0]).run()
    elif command == "check":
        return check(endpoint, ledgers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
