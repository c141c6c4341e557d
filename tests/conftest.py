"""Fixtures for every test: a node as a process, an S3 endpoint, clients for it, disks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.disks import Disk
from tests.harness.process import NodeProcess


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need loop devices or mounts say so and are left out for an ordinary user."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: it mounts file systems"))


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory on a real disk, removed afterwards (tmp_path keeps three runs; fault tests write a lot)."""
    directory = Path(tempfile.mkdtemp(prefix="ironbucket-test-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def nodes(scratch: Path) -> Iterator[Callable[..., NodeProcess]]:
    """`nodes(name="n1", **settings)` makes a node below the scratch directory, not started; all end with the test."""
    made: list[NodeProcess] = []

    def make(name: str = "node", **settings: Any) -> NodeProcess:
        process = NodeProcess(scratch / name, **settings)
        made.append(process)
        return process

    yield make
    for process in made:
        process.close()


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """`disks("xfs", size)` makes and mounts a file system; all are gone after the test. Ask for it before `nodes`."""
    made: list[Disk] = []

    def make(kind: str, size: int = 0, name: str = "") -> Disk:
        disk = Disk(tmp_path / (name or f"disk{len(made)}"), kind, size)
        made.append(disk)
        return disk

    yield make
    for disk in made:
        disk.close()
