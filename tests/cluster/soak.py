"""Three nodes, random operations and random faults from one seed; the history that clients saw is checked at the end.

    python -m tests.cluster.soak --seed 7 --seconds 600

What is checked against docs/guarantees.md: each node shows a client its own acknowledged writes or newer ones; what a
node lists of a key never goes back, over restarts too; in the end all nodes are the same, the last writer has won,
no deletion is undone, and every write that lost unseen is in the ledger.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import records
from tests.harness.cluster import Cluster
from tests.harness.links import CUT, DEAF, STALLED
from tests.harness.process import NodeProcess, NotReady
from tests.harness.records import Entry
from tests.harness.rivals import Rival

BUCKET = "shared"
KEYS = 6
MINUTES = 60_000
Stamp = tuple[int, int, str, str]
NEVER: Stamp = (0, 0, "", "")


@dataclass(frozen=True)
class Event:
    """What a client of a node did to a key and was told, in the order of one client."""

    node: int
    key: str
    what: str  # put, delete, get, list
    etag: str  # "" for no object


class Client(Rival):
    """A rival that also reads."""

    def __init__(self, cluster: Cluster, number: int, seed: int) -> None:
        super().__init__(cluster, number, seed, (BUCKET,), KEYS, 1)
        self.events: list[Event] = []

    def step(self) -> None:
        key = f"k{self.random.randrange(KEYS)}"
        what = self.random.choices(("put", "delete", "get", "list"), (4, 2, 3, 3))[0]
        data = self.random.randbytes(self.random.choice(self.sizes)) + self.random.randbytes(16)
        try:
            etag = self._do(what, key, data)
        except (OSError, http.client.HTTPException):
            self.broken += 1
            time.sleep(0.05)
            return
        if etag is not None:
            self.events.append(Event(self.number, key, what, etag))
            if what in ("put", "delete"):
                self.acknowledged.append((BUCKET, key, etag))
        time.sleep(0.005)

    def _do(self, what: str, key: str, data: bytes) -> str | None:
        """The ETag that is there now, as the client was told; None when it was told nothing."""
        session = self.session
        if what == "put":
            answer = session.request("PUT", BUCKET, key, data)
            done = answer.status == 200
            etag = hashlib.md5(data).hexdigest()
        elif what == "delete":
            answer = session.request("DELETE", BUCKET, key)
            done, etag = answer.status == 204, ""
        elif what == "get":
            answer = session.request("GET", BUCKET, key)
            done = answer.status == 200 or (answer.status == 404 and answer.code == "NoSuchKey")
            etag = answer.headers.get("etag", "").strip('"') if answer.status == 200 else ""
            if answer.status == 200:
                assert hashlib.md5(answer.body).hexdigest() == etag, f"{key}: the bytes are not those of its ETag"
        else:
            answer = session.request("GET", BUCKET, query={"list-type": "2", "prefix": key})
            done = answer.status == 200
            etag = _listed(answer.body, key) if done else ""
        if answer.status == 500:  # the log of the node says what it is
            raise AssertionError(f"node-{self.number + 1}: {what} {key}: {answer}")
        if not done:
            code = answer.code or str(answer.status)
            self.refused[code] = self.refused.get(code, 0) + 1
        return etag if done else None


def _listed(body: bytes, key: str) -> str:
    text = body.decode()
    if f"<Key>{key}</Key>" not in text:
        return ""
    return text.partition("<ETag>")[2].partition("</ETag>")[0].replace("&quot;", "").strip('"')


def check_history(events: list[Event], found: list[Entry]) -> None:
    """Raises AssertionError naming the first event that contradicts a guarantee."""
    stamps: dict[tuple[str, str], Stamp] = {}
    deletions: dict[str, list[Stamp]] = {}
    for entry in found:
        if entry.operation == "PUT":
            stamps[entry.key, entry.etag] = entry.stamp
        elif entry.operation == "DELETE":
            deletions.setdefault(entry.key, []).append(entry.stamp)
    own: dict[str, Stamp] = {}  # of the newest acknowledged write of this client
    listed: dict[str, Stamp] = {}  # the oldest stamp that what the node holds can have
    for number, event in enumerate(events):
        key = event.key
        floor = max(own.get(key, NEVER), listed.get(key, NEVER) if event.what != "get" else NEVER)
        if event.etag:
            stamp = stamps.get((key, event.etag))
            assert stamp is not None, f"{event} is of no write"
            assert stamp >= floor, f"event {number}, {event}: of {stamp}, after {floor} had been seen"
        elif event.what == "delete":
            # its own record is the first deletion by this node that is newer than all it had seen
            stamp = min(one for one in deletions[key] if one > floor and one[2] == f"node-{event.node + 1}")
        elif floor[0]:
            later = [one for one in deletions.get(key, []) if one >= floor]
            assert later, f"event {number}, {event}: absent, after {floor} had been seen and no deletion since"
            stamp = min(later)
        else:
            continue
        if event.what != "get":  # a GET may be answered by a peer
            listed[key] = max(listed.get(key, stamp), stamp)
        if event.what in ("put", "delete"):
            own[key] = max(own.get(key, stamp), stamp)


class Soak:
    """A run."""

    def __init__(self, folder: Path, seed: int, seconds: float, say: Callable[[str], None]) -> None:
        self.random, self.seconds, self.say = random.Random(seed), seconds, say
        self.folder = folder
        self.cluster = Cluster(self._node, 3, WORKERS=2, MAX_BATCH_SIZE=20, WAL_SEGMENT_SIZE=65536)
        self.clients = [Client(self.cluster, i, seed) for i in range(3)]
        self.faults: Counter[str] = Counter()

    def _node(self, name: str, **settings: Any) -> NodeProcess:
        root = self.folder / name
        root.mkdir(parents=True)
        (root / "offset").write_text("0")
        return NodeProcess(root, CLOCK_OFFSET_FILE=root / "offset", **settings)

    def run(self) -> None:
        """Raises AssertionError."""
        cluster = self.cluster
        try:
            cluster.start()
            for i in range(3):
                cluster.make_bucket(BUCKET, i)
            cluster.watch()
            for client in self.clients:
                client.start()
            self._harm()
            for client in self.clients:
                client.stopping.set()
            for client in self.clients:
                client.join(60)
                if client.failure:
                    raise client.failure
            self._mend()
            cluster.converge(120)
            self._check()
        finally:
            for client in self.clients:
                client.stopping.set()
            cluster.close()

    def _check(self) -> None:
        found = list(records.entries(records.logs(self.cluster.nodes[0])))
        for client in self.clients:
            check_history(client.events, found)
            there = Counter((entry.bucket, entry.key, entry.etag) for entry in found)
            missing = Counter(client.acknowledged) - there
            assert not missing, f"acknowledged by node-{client.number + 1}, and in no log: {missing}"
        events = sum(len(client.events) for client in self.clients)
        refused = sum((Counter(client.refused) for client in self.clients), Counter())
        self.say(f"{events} events, {len(found)} records, faults {dict(self.faults)}, refused {dict(refused)}")

    # -- faults -------------------------------------------------------------------------------------------------------

    def _harm(self) -> None:
        deadline = time.monotonic() + self.seconds
        faults = [self._link, self._link, self._once, self._server, self._replicator, self._clock, self._pause]
        faults += [self._forget, self._open]
        while time.monotonic() < deadline:
            fault = self.random.choice(faults)
            self.faults[fault.__name__[1:]] += 1
            fault()
            time.sleep(self.random.uniform(0.05, 1.0))
            for client in self.clients:
                if client.failure:
                    raise client.failure

    def _link(self) -> None:
        link = self.random.choice(sorted(self.cluster.links))
        self.cluster.links[link].set(self.random.choice((CUT, STALLED, DEAF)))

    def _open(self) -> None:
        self.cluster.heal()

    def _once(self) -> None:
        link = self.cluster.links[self.random.choice(sorted(self.cluster.links))]
        self.random.choice((link.reset_after, link.flip_at))(self.random.randrange(500_000))

    def _server(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        pids = node.workers()
        if pids and self.random.random() < 0.5:  # one worker: the node goes on
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(pids), signal.SIGKILL)
            return
        node.kill()
        time.sleep(self.random.uniform(0, 0.5))
        node.start()

    def _replicator(self) -> None:
        number = self.random.randrange(3)
        self.cluster.end_replicators(number)
        time.sleep(self.random.uniform(0, 0.5))
        self.cluster.watch(number)

    def _clock(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        new = node.root / "offset.new"
        new.write_text(str(self.random.randint(-5, 5) * MINUTES))
        new.rename(node.root / "offset")

    def _pause(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        with _stopped(node.all_pids()):
            time.sleep(self.random.uniform(0.1, 1.0))

    def _forget(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.random.choice(self.cluster.nodes).state / "replicator.state").unlink()

    def _mend(self) -> None:
        self.cluster.heal()
        for node in self.cluster.nodes:  # a start removes what a worker that was killed left in staging
            node.kill()
            node.start()


@contextlib.contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1, help="how many clusters, each with the next seed")
    chosen = parser.parse_args(arguments)
    for seed in range(chosen.seed, chosen.seed + chosen.rounds):
        folder = Path(tempfile.mkdtemp(prefix="ironbucket-soak-"))
        print(f"seed {seed}, {chosen.seconds:g} s, in {folder}", flush=True)
        try:
            Soak(folder, seed, chosen.seconds, print).run()
        except (AssertionError, NotReady) as error:
            print(f"seed {seed}: {error}\nThe nodes are left in {folder}.")
            return 1
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
