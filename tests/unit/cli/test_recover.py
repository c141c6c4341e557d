"""`ironbucket recover`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ironbucket import cli
from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.node.recover import running_alone
from ironbucket.store.paths import Layout


def test_the_index_is_made_again_from_the_log(node: Node, settings: Settings, run: Callable[..., list[str]]) -> None:
    Path(Layout(settings.storage_path).index).unlink()
    assert "4 records replayed" in run("recover")[0]
    again = Node.open(settings)
    assert again.objects.get("photos", "b").size == 1
    again.close()


def test_a_running_node_is_left_alone(node: Node, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with running_alone(settings):
        assert cli.main(["recover"]) == 75
    assert "Stop it first" in capsys.readouterr().err
