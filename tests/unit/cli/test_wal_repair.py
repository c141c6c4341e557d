"""`ironbucket wal verify|repair` and `ironbucket recover --from-files|--new-epoch`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ironbucket import cli
from ironbucket.config import Settings
from ironbucket.node import Node
from ironbucket.node.recover import running_alone
from ironbucket.store.paths import Layout

Run = Callable[..., list[str]]


def damage(settings: Settings) -> int:
    """Break record 2; returns the offset of its line."""
    path = Path(settings.wal_path)
    data = bytearray(path.read_bytes())
    begin = data.index(b"PUT\t")
    data[begin + 1] ^= 1
    path.write_bytes(data)
    return begin


def test_a_whole_log(node: Node, run: Run) -> None:
    lines = run("wal", "verify")
    assert len(lines) == 1
    assert "records 1 to 4, 4 whole in 1 segments" in lines[0]
    document = json.loads("\n".join(run("wal", "verify", "--json")))
    assert (document["streams"][0]["last"], document["streams"][0]["damages"]) == (4, [])
    assert run("wal", "repair")[-1] == "nothing to repair"


def test_no_log(settings: Settings, run: Run) -> None:
    assert run("wal", "verify") == ["there is no log yet"]


def test_damage_is_named_cut_and_kept(
    node: Node, settings: Settings, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = damage(settings)
    assert cli.main(["wal", "verify"]) == 3
    out = capsys.readouterr().out
    assert f"damaged at byte {begin}, record 2" in out
    assert "2 whole records lie behind the first damage" in out
    lines = run("wal", "repair")
    assert any("2 whole records, 3 to 4" in line for line in lines)
    assert any("new epoch" in line for line in lines)
    assert len(list(Path(settings.wal_path).parent.glob("*.damaged-*"))) == 1
    assert "1 whole" in run("wal", "verify")[0]
    Node.prepare(settings)
    again = Node.open(settings)
    assert again.objects.list("photos").entries == []
    again.close()


def test_a_running_node_is_not_repaired(node: Node, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with running_alone(settings):
        assert cli.main(["wal", "repair"]) == 75
        assert cli.main(["wal", "verify"]) == 0, "looking is allowed"
    assert "Stop it first" in capsys.readouterr().err


def test_a_range_of_records(node: Node, run: Run) -> None:
    def shown(text: str) -> list[int]:
        return [int(line.split()[0]) for line in run("wal", "show", text)]

    assert [shown(text) for text in ("2", "2..3", "3..", "..2")] == [[2], [2, 3], [3, 4], [1, 2]]


def test_from_files(node: Node, settings: Settings, run: Run) -> None:
    shutil.rmtree(Path(settings.wal_path).parent)
    shutil.rmtree(Layout(settings.storage_path).system)
    lines = run("recover", "--from-files")
    assert "4 records written" in lines[0]
    assert any(line.startswith("not known: content type") for line in lines)
    again = Node.open(settings)
    assert again.objects.get("photos", "b").size == 1
    assert len(again.buckets.get("photos").owner) == 64
    again.close()


def test_a_new_epoch(node: Node, run: Run) -> None:
    lines = run("recover", "--new-epoch")
    assert "a new epoch was begun: asked for" in lines
    assert node.identity.epoch not in lines[0]
