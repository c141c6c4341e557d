"""A node on disk with a few records, for the commands that read one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ironbucket import cli
from ironbucket.config import FIELDS, Settings
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Expected

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


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of an empty node; the environment says the same."""
    made = Settings(
        storage_path=str(tmp_path / "s3"),
        wal_path=str(tmp_path / "wal" / "wal.log"),
        state_path=str(tmp_path / "state" / "replicator.state"),
    )
    for name in FIELDS:
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("storage_path", "wal_path", "state_path"):
        monkeypatch.setenv(name.upper(), getattr(made, name))
    return made


@pytest.fixture
def node(settings: Settings) -> Iterator[Node]:
    """Sequence 1: the bucket `photos`; 2 to 4: the objects `a`, `b`, and one whose name would clear a screen."""
    Node.prepare(settings)
    node = Node.open(settings)
    node.buckets.create("photos", OWNER)
    for key in ("a", "b", "\x1b[2J"):
        node.objects.put("photos", key, Bytes(key.encode()), Expected(), Attributes(owner=OWNER))
    yield node
    node.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """`run("wal", "show")` -> what the command printed, as lines. It must succeed."""

    def run(*arguments: str) -> list[str]:
        assert cli.main(arguments) == 0, capsys.readouterr().err
        return capsys.readouterr().out.splitlines()

    return run
