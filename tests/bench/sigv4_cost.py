"""What reading and verifying one header-signed GET costs, in microseconds of CPU: python tests/bench/sigv4_cost.py"""

import hashlib
import time
import timeit
from collections.abc import Callable
from types import SimpleNamespace

from ironbucket import signature
from ironbucket.s3.credentials import Credentials
from ironbucket.s3.request import Request
from ironbucket.s3.sigv4 import authenticate

REGION = "us-east-1"


def cost(function: Callable[[], object], number: int = 20_000) -> float:
    """The cheapest of nine runs: what the code costs when nothing else disturbs it."""
    return min(timeit.repeat(function, timer=time.process_time, number=number, repeat=9)) / number * 1e6


def main() -> None:
    credentials = Credentials.from_settings(SimpleNamespace(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="s" * 40))
    now = time.time()
    for title, target in (
        ("GET object", "/bucket/some/key-123.txt"),
        ("GET object, escaped key", "/bucket/some/key%20123%C3%A4.txt"),
        ("list objects", "/bucket?list-type=2&max-keys=1000&prefix=some%2F&delimiter=%2F"),
    ):
        headers = {
            "host": "127.0.0.1:9000",
            "accept-encoding": "identity",
            "user-agent": "Boto3/1.44 md/Botocore#1.44 ua/2.1 os/linux#6",
            "amz-sdk-invocation-id": "0" * 36,
            "amz-sdk-request": "attempt=1",
        }
        signed = signature.sign(
            "GET",
            target,
            {"host": headers["host"]},
            access_key="AKIAIOSFODNN7EXAMPLE",
            secret="s" * 40,
            region=REGION,
            now=now,
            payload=signature.EMPTY_SHA256,
        )
        environ = {
            "REQUEST_METHOD": "GET",
            "REQUEST_URI": target,
            "ironbucket.headers": [(name.encode(), value.encode()) for name, value in {**headers, **signed}.items()],
        }
        request = Request.parse(environ)
        parts = (request.method, request.raw_path, request.raw_query, request.headers, now)
        verifier = credentials.verifier(REGION)
        print(
            f"{title:26}"
            f" parse {cost(lambda environ=environ: Request.parse(environ)):5.2f}"
            f"  verify {cost(lambda parts=parts, verifier=verifier: verifier.verify(*parts)):5.2f}"
            f"  authenticate {cost(lambda r=request: authenticate(r, credentials, region=REGION, now=now)):5.2f} µs"
        )
    signer = signature.Signer(bytes(32))
    floor = cost(lambda: signer.sign(bytes(140))) + cost(lambda: hashlib.sha256(bytes(250)).hexdigest())
    print(f"of which the hash and the HMAC alone cost {floor:.2f} µs")


if __name__ == "__main__":
    main()
