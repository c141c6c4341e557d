"""Nodes on disk for tests: settings in a temporary folder, a body at hand, a node opened in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Expected
from ironbucket.store import buckets
from ironbucket.store.scan import states

OWNER = "0" * 64


class Bytes:
    """A body that is at hand."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._data))
        buffer[:count], self._data = self._data[:count], self._data[count:]
        return count

    def trailers(self) -> dict[str, str]:
        return {}


def settings_in(folder: Path, **more: Any) -> Settings:
    return Settings(
        storage_path=str(folder / "s3"),
        wal_path=str(folder / "wal" / "wal.log"),
        state_path=str(folder / "state" / "replicator.state"),
        **more,
    )


@contextmanager
def opened(settings: Settings) -> Iterator[Node]:
    Node.prepare(settings)
    node = Node.open(settings)
    try:
        yield node
    finally:
        node.close()


def put(node: Node, bucket: str, key: str, data: bytes = b"x") -> str:
    return node.objects.put(bucket, key, Bytes(data), Expected(), Attributes(owner=OWNER)).version


def everything(node: Node) -> dict[str, Any]:
    """All that the index knows of buckets and keys, comparable between nodes."""
    connection = node.index.reader
    found: dict[str, Any] = {}
    for row in buckets.scan(connection):
        found[row.name] = (row.owner, row.created, row.deleted, row.configuration)
        for key, state in states(node.index, connection, row.number, row.name):
            found[f"{row.name}/{key!r}"] = sorted(
                (
                    e.version,
                    e.null,
                    e.kind.value,
                    e.stamp,
                    e.size,
                    e.etag,
                    repr(sorted(e.attributes.items())),
                    e.sequence,
                )
                for e in state
            )
    return found
