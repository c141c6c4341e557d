"""Nodes on disk for the tests of this package."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ironbucket import failpoints
from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Body, Conditions, Expected
from ironbucket.node.objects import bytes_body
from ironbucket.node.recover import prepare, running_alone
from ironbucket.store import keys
from ironbucket.store.model import Kind, Version
from ironbucket.wal.repair import verify

OWNER = "0" * 64


def make_settings(folder: Path, **more: Any) -> Settings:
    return Settings(
        storage_path=str(folder / "s3"),
        wal_path=str(folder / "wal" / "wal.log"),
        state_path=str(folder / "state" / "replicator.state"),
        **more,
    )


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Node]:
    """A start and a stop."""
    with running_alone(settings):
        prepare(settings)
        node = Node.open(settings)
        try:
            yield node
        finally:
            node.close()


def put(
    node: Node, key: str, data: bytes | Body = b"data", bucket: str = "photos", conditions: Conditions = Conditions()
) -> Version:
    body = bytes_body(data) if isinstance(data, bytes) else data
    return node.objects.put(bucket, key, body, Expected(), Attributes(owner=OWNER), conditions)


def contents(node: Node, bucket: str = "photos") -> dict[str, bytes]:
    """Key -> bytes of everything that a client can see; checks the ETags on the way."""
    found = {}
    for entry in node.objects.list(bucket, limit=100_000).entries:
        assert isinstance(entry, Version)
        data = node.objects.payload(entry).read()
        if not entry.parts:
            assert hashlib.md5(data).hexdigest() == entry.etag
        found[entry.key] = data
    return found


def state(node: Node, key: str, bucket: str = "photos") -> keys.State:
    connection = node.index.reader
    row = connection.execute("SELECT id FROM buckets WHERE name = ?", (bucket,)).fetchone()
    return keys.load(node.index, connection, row[0], bucket, key)


def dump(node: Node) -> dict[str, list[Any]]:
    """What the index says, in a form that does not depend on the order in which it learnt it."""
    connection = node.index.reader
    origins = {row[0]: (row[1], row[2]) for row in connection.execute("SELECT id, node, epoch FROM streams")}
    names = dict(connection.execute("SELECT id, name FROM buckets"))
    found: dict[str, list[Any]] = {
        "buckets": sorted(connection.execute("SELECT name, owner, created, deleted, configuration FROM buckets"))
    }
    for table, columns in (("objects", ""), ("history", ", kind")):
        rows = connection.execute(
            f"SELECT bucket, origin, key, version, is_null, ms, logical, size, etag, attributes, sequence{columns}"
            f" FROM {table}"
        )
        found[table] = sorted(
            (names[row[0]], origins[row[1]], *row[2:9], json.dumps(json.loads(row[9]), sort_keys=True), *row[10:])
            for row in rows
        )
    found["conflicts"] = sorted(connection.execute("SELECT bucket, key, version, ms, node, operation FROM conflicts"))
    return found


def strays(node: Node) -> set[str]:
    """Files under STORAGE_PATH that nothing accounts for: neither a live version, nor garbage, nor an upload."""
    layout = node.payloads.layout
    known = {row[0] for row in node.index.reader.execute("SELECT path FROM garbage")}
    for bucket in node.payloads.buckets():
        row = node.index.reader.execute("SELECT id FROM buckets WHERE name = ?", (bucket,)).fetchone()
        for table in ("objects", "history WHERE kind = 'object'"):
            joiner = "AND" if "WHERE" in table else "WHERE"
            for key, version in node.index.reader.execute(
                f"SELECT key, version FROM {table} {joiner} bucket = ?", (row[0] if row else 0,)
            ):
                known.add(layout.payload(bucket, keys.decode_key(key), version))
    root = Path(layout.root)
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file()
        and ".ironbucket" not in path.parts
        and ".keys" not in path.parts
        and str(path) not in known
        and str(path.parent) not in known
        and not (path.name == "upload.json" or (path.parent.parent.name == ".uploads" and "~" in path.name))
    }


def check(node: Node, lost: int = 0) -> None:
    """The promises that hold at any rest: the log verifies, the index agrees with it, no stray files.

    `lost` payloads are of records that the log has lost: those are kept.
    """
    report = verify(node.settings.wal_path)
    assert report.damages == report.torn == []
    for stream in report.streams:
        row = node.index.reader.execute(
            "SELECT sequence FROM streams WHERE node = ? AND epoch = ?", (stream.node, stream.epoch)
        ).fetchone()
        assert not stream.records or row[0] == stream.last
    assert len(strays(node)) == lost, strays(node)
    for entry in node.objects.list("photos", limit=100_000).entries:
        assert isinstance(entry, Version)
        assert entry.kind is Kind.OBJECT
        node.objects.payload(entry).close()


def dies(action: Callable[[], object], *points: str) -> bool:
    """Run `action` in a process of its own, in which a failpoint is armed; whether that killed it."""
    child = os.fork()
    if child == 0:
        try:
            failpoints._armed, failpoints._enabled = failpoints._parse(",".join(points)), True
            action()
        except BaseException:  # noqa: BLE001 - shown, and told by the status
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


@contextlib.contextmanager
def failing(point: str, error: int) -> Iterator[None]:
    """A failpoint raises an OSError meanwhile."""
    before = failpoints.hit

    def hit(name: str) -> None:
        if name == point:
            raise OSError(error, os.strerror(error))

    failpoints.hit = hit
    try:
        yield
    finally:
        failpoints.hit = before
