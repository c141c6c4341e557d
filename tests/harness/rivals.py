"""Clients of several nodes that put, overwrite and delete the same keys at once, and note what they were told."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import threading
import time
from types import TracebackType

from tests.harness.cluster import Cluster, acknowledged_are_there
from tests.harness.load import Session

#: inside a batch; and too large for one
SIZES = (0, 10, 1000, 40_000)
LARGE = 400_000


class Rival(threading.Thread):
    """One client of one node."""

    def __init__(
        self, cluster: Cluster, number: int, seed: int, buckets: tuple[str, ...], keys: int, large: int
    ) -> None:
        super().__init__(name=f"rival-{number}-{seed}", daemon=True)
        self.number, self.buckets, self.keys = number, buckets, keys
        self.sizes = (*SIZES * 3, *[LARGE] * large)
        self.random = random.Random(f"{number}/{seed}")
        self.session: Session = cluster.session(number, timeout=20)
        self.acknowledged: list[tuple[str, str, str]] = []  # bucket, key, MD5 ("" of a deletion)
        self.refused: dict[str, int] = {}
        self.broken = 0
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.step()
        except Exception as error:  # noqa: BLE001 - raised again by whoever waits for this thread
            self.failure = error
        finally:
            self.session.close()

    def step(self) -> None:
        bucket, key = self.random.choice(self.buckets), f"k{self.random.randrange(self.keys)}"
        data = self.random.randbytes(self.random.choice(self.sizes)) + self.random.randbytes(16)
        delete = self.random.random() < 0.3
        try:
            if delete:
                answer = self.session.request("DELETE", bucket, key)
            else:
                answer = self.session.request("PUT", bucket, key, data)
        except (OSError, http.client.HTTPException):
            self.broken += 1
            time.sleep(0.02)
            return
        if answer.status in (200, 204):
            digest = "" if delete else hashlib.md5(data).hexdigest()
            self.acknowledged.append((bucket, key, digest))
        else:
            code = answer.code or str(answer.status)
            self.refused[code] = self.refused.get(code, 0) + 1
        time.sleep(0.008)


class Rivals:
    """`with Rivals(cluster, "b") as rivals:`: one client for each node, until the block ends."""

    def __init__(self, cluster: Cluster, *buckets: str, keys: int = 8, seed: int = 1, large: int = 1) -> None:
        self.cluster = cluster
        self.clients = [Rival(cluster, i, seed, buckets, keys, large) for i in range(len(cluster.nodes))]

    def __enter__(self) -> Rivals:
        for client in self.clients:
            client.start()
        return self

    def until(self, more: int, *numbers: int, timeout: float = 40) -> None:
        """Until each of these nodes' clients (all by default) has had so many more acknowledgements."""
        chosen = [self.clients[i] for i in numbers or range(len(self.clients))]
        goals = [len(client.acknowledged) + more for client in chosen]
        deadline = time.monotonic() + timeout
        while any(len(client.acknowledged) < goal for client, goal in zip(chosen, goals, strict=True)):
            for client in chosen:
                if client.failure:
                    raise client.failure
            state = [(client.name, len(client.acknowledged), client.refused, client.broken) for client in chosen]
            assert time.monotonic() < deadline, f"not {more} more: {state}"
            time.sleep(0.01)

    def check(self) -> None:
        """After the nodes have converged: every acknowledged write has its record, on its own node."""
        for client in self.clients:
            acknowledged_are_there(self.cluster, client.number, client.acknowledged)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            with contextlib.suppress(RuntimeError):
                client.join(60)
            if client.failure and error is None:
                raise client.failure
