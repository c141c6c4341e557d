"""`ironbucket wal tail|show`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ironbucket import cli
from ironbucket.config import Settings
from ironbucket.node import Node

Run = Callable[..., list[str]]


def sequences(lines: list[str]) -> list[int]:
    return [int(line.split()[0]) for line in lines]


def test_records_are_shown_one_a_line(node: Node, run: Run) -> None:
    lines = run("wal", "show")
    assert sequences(lines) == [1, 2, 3, 4]
    assert lines[0].split()[2:] == ["CREATE_BUCKET", "photos"]
    assert lines[1].split()[2:5] == ["PUT", "photos/a", "1"]


def test_a_key_cannot_act_on_the_terminal(node: Node, run: Run) -> None:
    assert "photos/\\x1b[2J" in run("wal", "show")[-1]


def test_a_range_a_bucket_a_key(node: Node, run: Run) -> None:
    assert sequences(run("wal", "show", "--from", "2", "--to", "3")) == [2, 3]
    assert sequences(run("wal", "show", "--key", "b")) == [3]
    assert run("wal", "show", "--bucket", "music") == []
    assert run("wal", "show", "--from", "99") == []


def test_raw_lines_are_those_of_the_file(
    node: Node, settings: Settings, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cli.main(["wal", "show", "--raw"]) == 0
    log = Path(settings.wal_path).read_bytes()
    assert capfdbinary.readouterr().out == b"".join(log.splitlines(keepends=True)[1:])


def test_as_json(node: Node, run: Run) -> None:
    documents = [json.loads(line) for line in run("wal", "show", "--json")]
    assert [one["sequence"] for one in documents] == [1, 2, 3, 4]
    assert documents[-1]["key"] == "\x1b[2J"
    assert documents[1]["etag"] == "0cc175b9c0f1b6a831c399e269772661"
    assert {one["epoch"] for one in documents} == {node.identity.epoch}


def test_the_tail(node: Node, run: Run) -> None:
    assert sequences(run("wal", "tail")) == [1, 2, 3, 4]
    assert sequences(run("wal", "tail", "-n", "2")) == [3, 4]
    assert run("wal", "tail", "-n", "0") == []


def test_a_followed_log_goes_on(node: Node, settings: Settings) -> None:
    command = [
        sys.executable,
        "-m",
        "ironbucket",
        "wal",
        "tail",
        "-n",
        "1",
        "--follow",
        "--wal-path",
        settings.wal_path,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as follower:
        assert follower.stdout is not None
        try:
            assert sequences([follower.stdout.readline()]) == [4]
            node.buckets.create("music", "0" * 64)
            assert sequences([follower.stdout.readline()]) == [5]
        finally:
            follower.terminate()


def test_an_empty_log_and_none(settings: Settings, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["wal", "tail"]) == 1
    assert "there is no log yet" in capsys.readouterr().err
    Node.prepare(settings)
    assert run("wal", "tail") == []


def test_a_log_that_is_not_here_is_named(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["wal", "show", "--node", "node-9"]) == 1
    assert "no log of node node-9" in capsys.readouterr().err
    assert cli.main(["wal", "show", "--epoch", "abc"]) == 1
    assert "in that epoch" in capsys.readouterr().err


def test_damage_is_named_with_its_offset(node: Node, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(settings.wal_path)
    data = bytearray(path.read_bytes())
    at = data.index(b"photos\ta") + 7
    data[at] ^= 1
    path.write_bytes(data)
    assert cli.main(["wal", "show"]) == 3
    captured = capsys.readouterr()
    assert "damaged at byte" in captured.err
    assert sequences(captured.out.splitlines()) == [1], "nothing after the damage is shown as if it were good"


@pytest.mark.parametrize("arguments", [["wal"], ["wal", "nonsense"], ["wal", "tail", "-n", "x"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
