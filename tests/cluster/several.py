"""Several nodes as real processes that know each other, their replicators run by hand, and a look behind their S3."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ironbucket.store import buckets
from ironbucket.store.index import Index
from ironbucket.store.model import Kind
from ironbucket.store.paths import Layout
from ironbucket.store.scan import states
from tests.harness.process import ACCESS_KEY, REGION, SECRET_KEY, NodeProcess, wait_until

SECRET = "0123456789abcdef0123"
#: the log is rotated, compressed, covered by a snapshot and removed within seconds
SHORT = {"WAL_SEGMENT_AGE": 1, "WAL_RETENTION": 0, "TOMBSTONE_GRACE": 0}


class Several:
    """Nodes node-1, node-2, ...; not started. `self[1]` is node-1."""

    def __init__(self, folder: Path, count: int, **settings: object) -> None:
        common = {"CLUSTER_SECRET": SECRET, "WORKERS": 1, "BATCH_INTERVAL": 100, "LOG_LEVEL": "warning", **settings}
        self._nodes = {
            number: NodeProcess(folder / f"node-{number}", NODE_ID=f"node-{number}", **common)  # type: ignore[arg-type]
            for number in range(1, count + 1)
        }
        for number, node in self._nodes.items():
            peers = [f"127.0.0.1:{other.port}" for place, other in self._nodes.items() if place != number]
            node.settings["CLUSTER_NODES"] = ",".join(peers)

    def __getitem__(self, number: int) -> NodeProcess:
        return self._nodes[number]

    def start(self, *numbers: int) -> None:
        for number in numbers or self._nodes:
            self._nodes[number].start(wait=False)
        for number in numbers or self._nodes:
            self._nodes[number].wait_ready()

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

    def client(self, number: int) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self._nodes[number].endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
        )

    def replicate(self, number: int, *, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """One run of a node's replicator."""
        done = self._nodes[number].run("replicate")
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    def ship(self, *numbers: int) -> None:
        """Every replicator, twice: what one brought, another may have to pass on."""
        for number in [*(numbers or self._nodes)] * 2:
            self.replicate(number, ok=False)

    def cursor(self, number: int, other: int) -> dict[str, Any]:
        """What the replicator of one node noted of another."""
        path = self._nodes[number].settings["STATE_PATH"]
        with open(str(path), encoding="utf-8") as source:
            found = json.load(source)["peers"]
        return next(one for one in found if one["address"].endswith(f":{self._nodes[other].port}"))


def seen(node: NodeProcess, *, tombstones: bool = False) -> dict[str, Any]:
    """All that a node knows of buckets and keys, from its index, comparable between nodes; every payload is there."""
    layout = Layout(str(node.storage))
    index = Index(layout.index)
    found: dict[str, Any] = {}
    try:
        for row in buckets.scan(index.reader):
            if not buckets.exists(index.reader, row) and not tombstones:
                continue
            found[row.name] = (row.owner, row.created, row.deleted, row.configuration)
            for key, state in states(index, index.reader, row.number, row.name):
                for entry in state:
                    if entry.kind is Kind.OBJECT:
                        _check_payload(layout.payload(row.name, entry.key, entry.version), entry.size, entry.parts)
                    if entry.kind is not Kind.TOMBSTONE or tombstones:
                        what = (entry.null, entry.kind.value, entry.stamp, entry.size, entry.etag, entry.attributes)
                        found[f"{row.name}/{key!r}/{entry.version}"] = what
    finally:
        index.close()
    return found


def _check_payload(path: str, size: int, parts: int) -> None:
    if parts:
        assert sum(os.path.getsize(f"{path}/{name}") for name in os.listdir(path) if "~" in name) == size, path
    else:
        assert os.path.getsize(path) == size, path


def vector(node: NodeProcess) -> dict[str, int]:
    connection = sqlite3.connect(Layout(str(node.storage)).index)
    try:
        rows = connection.execute("SELECT node || '/' || epoch, sequence FROM streams WHERE sequence > 0")
        return dict(rows.fetchall())
    finally:
        connection.close()


def wait_for_removal(node: NodeProcess) -> None:
    """Until the node's own log no longer begins at its first record."""

    def begins_later() -> bool:
        names = [name for name in os.listdir(node.wal_dir) if name.startswith("wal-")]
        with open(node.wal_path, "rb") as source:
            return not names and b"\tfirst=1\t" not in source.readline()

    wait_until(begins_later, "the closed segments are removed")
