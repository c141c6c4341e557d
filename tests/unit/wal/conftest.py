"""A log of a few records."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.wal.support import Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "wal" / "wal.log")
    yield made
    made.active.close()
