"""A node with one bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ironbucket.config import Settings
from ironbucket.node import Node
from tests.unit.node.support import OWNER, make_settings, opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def node(settings: Settings) -> Iterator[Node]:
    with opened(settings) as node:
        node.buckets.create("photos", OWNER)
        yield node
