"""Listing pages: what 1,000 entries cost in a bucket of ten thousand keys and of a million.

Both buckets have a thousand folders, so that a page with a delimiter has as much to say in each.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench import load
from tests.bench.target import Target

FOLDERS = 1000


def keys(count: int) -> Iterator[str]:
    for i in range(count):
        yield f"folder-{i % FOLDERS:04}/object-{i // FOLDERS:07}"


def bucket_of(count: int) -> str:
    return f"listing-{count}"


def fill(target: Target, count: int) -> float:
    """Empty objects by PUT; the seconds that it took. Requests are signed in batches: a signature ages."""
    target.make_bucket(bucket_of(count))
    started = time.monotonic()
    source, done = keys(count), 0
    while done < count:
        batch = [target.request("PUT", bucket_of(count), key) for _, key in zip(range(20_000), source, strict=False)]
        _send_all(target, batch)
        done += len(batch)
    return time.monotonic() - started


def _send_all(target: Target, requests: list[bytes], connections: int = 64) -> None:
    position = iter(range(len(requests)))
    lock = threading.Lock()
    failures: list[bytes] = []

    def work() -> None:
        with socket.create_connection((target.host, target.port)) as sock:
            while not failures:
                with lock:
                    index = next(position, None)
                if index is None:
                    return
                sock.sendall(requests[index])
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += sock.recv(4096)
                if answer[9:12] != b"200":
                    failures.append(answer)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


@dataclass(frozen=True)
class Pages:
    """Milliseconds of a page of 1,000 entries: the median over HTTP; `store`: the least without it, None if unknown."""

    flat: float
    middle: float
    delimiter: float
    store_flat: float | None = None
    store_delimiter: float | None = None


def measure(target: Target, count: int, turns: int = 40) -> Pages:
    bucket = bucket_of(count)
    middle = f"folder-{FOLDERS // 2:04}/"

    def page(**query: str) -> float:
        request = target.request("GET", bucket, query={"list-type": "2", "max-keys": "1000", **query})
        plan = load.Plan(target.host, target.port, [request], 1, seconds=1.0)
        result = load.drive(plan)
        assert not result.errors
        return result.p50 / 1000

    store = _in_store(target, bucket, turns) if target.node else (None, None)
    return Pages(page(), page(**{"start-after": middle}), page(delimiter="/"), *store)


def _in_store(target: Target, bucket: str, turns: int) -> tuple[float, float]:
    """The same pages from the index of our own node, read beside the running server."""
    from ironbucket.config import load as load_settings
    from ironbucket.node import Node

    assert target.node
    node = Node.open(load_settings(environ={k: str(v) for k, v in target.node.settings.items()}))
    try:

        def timed(delimiter: str) -> float:
            taken = []
            for _ in range(turns):
                started = time.perf_counter()
                found = node.objects.list(bucket, delimiter=delimiter, limit=1000)
                taken.append(time.perf_counter() - started)
                assert len(found.entries) == 1000
            return min(taken) * 1000  # noise only adds

        return timed(""), timed("/")
    finally:
        node.close()
