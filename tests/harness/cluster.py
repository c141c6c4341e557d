"""Several nodes that replicate to each other over links that can fail, and the check that they agree in the end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.harness import records, storage
from tests.harness.links import OPEN, Link, Network
from tests.harness.load import Session, list_keys
from tests.harness.process import (
    ACCESS_KEY,
    COMMAND,
    PATIENCE,
    SECRET_KEY,
    NodeProcess,
    environment,
    wait_until,
)
from tests.harness.raw import RawClient
from tests.harness.records import Entry, Outcome

SECRET = "0123456789abcdef0123456789abcdef"
INTERVAL = 250  # ms


class Cluster:
    """`count` nodes; `links[i, j]` carries what node i asks of node j. Nothing is started."""

    def __init__(self, make: Callable[..., NodeProcess], count: int, **settings: Any) -> None:
        self.network = Network()
        settings = {"WORKERS": 1, "CLUSTER_SECRET": SECRET, "BATCH_INTERVAL": INTERVAL, **settings}
        self.nodes = [make(f"node-{i + 1}", NODE_ID=f"node-{i + 1}", **settings) for i in range(count)]
        self.links: dict[tuple[int, int], Link] = {}
        for i in range(count):
            for j in range(count):
                if i != j:
                    self.links[i, j] = self.network.link(self.nodes[j].port)
            mine = [link.address for (a, _), link in sorted(self.links.items()) if a == i]
            self.nodes[i].settings["CLUSTER_NODES"] = ",".join(mine)
        self._replicators: dict[int, subprocess.Popen[bytes]] = {}
        self._clients: dict[int, Session] = {}
        self._closed = False

    def start(self, *numbers: int, **settings: Any) -> Cluster:
        """Start the servers (all of them when none is named)."""
        chosen = [self.nodes[i] for i in numbers or range(len(self.nodes))]
        for node in chosen:
            node.start(wait=False, **settings)
        for node in chosen:
            node.wait_ready()
        return self

    def session(self, number: int, timeout: float = 30) -> Session:
        """A keep-alive client of a node."""
        return Session(RawClient(self.nodes[number].endpoint, ACCESS_KEY, SECRET_KEY), timeout)

    def client(self, number: int) -> Session:
        """The same, closed with the cluster. One for each node: for use by one thread."""
        if number not in self._clients:
            self._clients[number] = self.session(number)
        return self._clients[number]

    def make_bucket(self, name: str, number: int = 0) -> None:
        with contextlib.closing(self.session(number)) as session:
            answer = session.request("PUT", name)
            assert answer.status == 200, str(answer)

    # -- replication --------------------------------------------------------------------------------------------------

    def replicate(self, number: int, timeout: float = 90, **settings: Any) -> subprocess.CompletedProcess[str]:
        """One run of a node's replicator."""
        return self.nodes[number].run("replicate", timeout=timeout, **settings)

    def watch(self, *numbers: int, **settings: Any) -> None:
        """Keep the replicators of these nodes (of all when none is named) at work."""
        for number in numbers or range(len(self.nodes)):
            node = self.nodes[number]
            with (node.root / "replicator.log").open("ab") as log:
                self._replicators[number] = subprocess.Popen(
                    [*COMMAND, "replicate", "--watch"],
                    env=environment({**node.settings, **settings}),
                    cwd=node.root,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def replicator(self, number: int) -> subprocess.Popen[bytes]:
        return self._replicators[number]

    def end_replicators(self, *numbers: int) -> None:
        """SIGKILL."""
        for number in numbers or list(self._replicators):
            process = self._replicators.pop(number)
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)

    # -- the network --------------------------------------------------------------------------------------------------

    def between(self, one: int, other: int, mode: str) -> None:
        """Both directions."""
        self.links[one, other].set(mode)
        self.links[other, one].set(mode)

    def isolate(self, number: int, mode: str) -> None:
        """All links from and to a node."""
        for (i, j), link in self.links.items():
            if number in (i, j):
                link.set(mode)

    def heal(self) -> None:
        """All links are open."""
        for link in self.links.values():
            link.set(OPEN)

    # -- agreement ----------------------------------------------------------------------------------------------------

    def converge(self, timeout: float = 60) -> None:
        """Replicate until all nodes hold the same logs, and check that they then hold the same of everything."""
        idle = [i for i in range(len(self.nodes)) if i not in self._replicators]
        self.watch(*idle) if idle else None
        try:
            wait_until(self._same_vectors, "all nodes hold the same logs", timeout, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe()}") from None
        self.end_replicators()
        self.check_agreement()

    def _same_vectors(self) -> bool:
        vectors = [vector(node) for node in self.nodes]
        return all(one == vectors[0] for one in vectors)

    def describe(self) -> str:
        """For the message of a test that failed."""
        text = []
        for node in self.nodes:
            log = node.root / "replicator.log"
            shipped = "\n".join(log.read_text("utf-8", "replace").splitlines()[-12:]) if log.exists() else ""
            text.append(f"{node.settings['NODE_ID']}: {vector(node)}\n{shipped}\n{node.log_tail(12)}")
        return "\n".join(text)

    def check_agreement(self) -> dict[tuple[str, str], Outcome]:
        """Same logs, index, conflicts, listings and bytes on every node, and all of it what the logs come to."""
        first, *others = self.nodes
        logs = records.logs(first)
        content = index_content(first)
        for node in others:
            assert records.logs(node) == logs, f"the logs of {node.root.name} are not those of {first.root.name}"
            for table, rows in index_content(node).items():
                assert rows == content[table], f"{node.root.name} and {first.root.name} differ in {table}"
        found = list(records.entries(logs))
        outcomes = records.outcomes(found)
        _check_outcomes(content, outcomes)
        served = [self.served(i) for i in range(len(self.nodes))]
        for other in served[1:]:
            assert other == served[0]
        _check_served(served[0], outcomes)
        for node in self.nodes:
            check_payloads(node)
        return outcomes

    def served(self, number: int) -> dict[tuple[str, str], str]:
        """(bucket, key) -> MD5 of what a client reads, over all buckets."""
        found = {}
        with contextlib.closing(self.session(number)) as session:
            buckets = session.request("GET", "").xml()
            for bucket in [element.text or "" for element in buckets.iter("Name")]:
                for key in list_keys(session, bucket):
                    answer = session.request("GET", bucket, key)
                    assert answer.status == 200, f"{bucket}/{key} is listed: {answer}"
                    found[bucket, key] = hashlib.md5(answer.body).hexdigest()
        return found

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for session in self._clients.values():
            session.close()
        self.end_replicators()
        for node in self.nodes:
            node.close()
        self.network.close()


def vector(node: NodeProcess) -> dict[str, tuple[int, str]]:
    """How far a node's index has applied each log."""
    with contextlib.closing(_open_index(node)) as index:
        rows = index.execute("SELECT node, epoch, sequence, chain FROM streams WHERE sequence > 0")
        return {f"{row[0]}/{row[1]}": (row[2], row[3]) for row in rows}


def index_content(node: NodeProcess) -> dict[str, list[Any]]:
    """What the index of a node holds (see `content_of`)."""
    with contextlib.closing(_open_index(node)) as index:
        return content_of(index)


def content_of(index: sqlite3.Connection) -> dict[str, list[Any]]:
    """What an index holds, without what is a matter of one node (row numbers, and when it noticed a conflict)."""
    entry = (
        "b.name, e.key, e.version, e.is_null, e.ms, e.logical, s.node, s.epoch, e.sequence, e.size, e.etag,"
        " e.attributes"
    )
    joined = "e JOIN buckets b ON b.id = e.bucket JOIN streams s ON s.id = e.origin"
    queries = {
        "streams": "SELECT node, epoch, sequence, chain FROM streams WHERE sequence > 0",
        "buckets": "SELECT name, owner, created, deleted, configuration FROM buckets",
        "objects": f"SELECT {entry} FROM objects {joined}",
        "history": f"SELECT {entry}, e.kind FROM history {joined}",
        "conflicts": "SELECT bucket, key, version, ms, node, operation, size, etag FROM conflicts",
    }
    found = {table: sorted(index.execute(query).fetchall()) for table, query in queries.items()}
    for table in ("objects", "history"):
        found[table] = [(*row[:11], json.dumps(json.loads(row[11]), sort_keys=True), *row[12:]) for row in found[table]]
    return found


def _open_index(node: NodeProcess) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{node.storage}/.ironbucket/index.db?mode=ro", uri=True, timeout=30)


def _check_outcomes(content: dict[str, list[Any]], outcomes: dict[tuple[str, str], Outcome]) -> None:
    """The index holds of each key what the logs come to, and its ledger all that lost unseen."""
    live = {(row[0], row[1].decode()): row[2] for row in content["objects"]}
    expected = {place: one.current.version for place, one in outcomes.items() if one.current.operation == "PUT"}
    assert live == expected, f"wrong winners: {sorted(live.items() ^ expected.items())[:10]}"
    ledger = {(row[0], row[1].decode(), row[2]) for row in content["conflicts"]}
    lost = {(*place, entry.version) for place, one in outcomes.items() for entry in one.lost}
    assert ledger == lost, f"the conflict ledger: {sorted(ledger ^ lost)[:10]}"


def _check_served(served: dict[tuple[str, str], str], outcomes: dict[tuple[str, str], Outcome]) -> None:
    for place, outcome in outcomes.items():
        if outcome.current.operation == "DELETE":
            assert place not in served, f"{place} was deleted"
        elif "-" not in outcome.current.etag:
            assert served.get(place) == outcome.current.etag, f"{place} is not what was written last"
        else:
            assert place in served


def check_payloads(node: NodeProcess) -> None:
    """Every live version has its bytes on this very node, and nothing is left in staging."""
    files = storage.payloads(node)
    content = index_content(node)
    for row in [*content["objects"], *(row for row in content["history"] if row[12] == "object")]:
        path, size = files.get(row[2]), row[9]
        assert path is not None, f"{node.root.name} lacks the payload of {row[0]}/{row[1]!r}"
        found = sum(part.stat().st_size for part in _parts(path))
        assert found == size, f"{path}: {found} bytes, not {size}"
    staged = [path for bucket in node.storage.glob("[!.]*") for path in (bucket / ".staging").glob("*")]
    assert staged == [], f"left in staging: {staged}"


def _parts(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (part for part in path.iterdir() if part.name != "manifest.json")
    else:
        yield path


def acknowledged_are_there(cluster: Cluster, number: int, acknowledged: list[tuple[str, str, str]]) -> list[Entry]:
    """Every acknowledged write (bucket, key, MD5 or "") of a node has its record; returns the records."""
    found = list(records.entries(records.logs(cluster.nodes[number])))
    there: dict[tuple[str, str, str], int] = {}
    for entry in found:
        if entry.operation in ("PUT", "DELETE"):
            place = (entry.bucket, entry.key, entry.etag)
            there[place] = there.get(place, 0) + 1
    for write in acknowledged:
        assert there.get(write, 0) > 0, f"acknowledged, and in no log: {write}"
        there[write] -= 1
    return found


def stopped(pid: int) -> contextlib.AbstractContextManager[None]:
    """SIGSTOP for a while."""

    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    return hold()
