"""`ironbucket quota`: sizes, and the quota of a bucket set, shown and removed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ironbucket import cli
from ironbucket.node import Node

Run = Callable[..., list[str]]


def test_set_get_remove(node: Node, run: Run) -> None:
    shown = json.loads("\n".join(run("quota", "set", "photos", "--bytes", "10G", "--objects", "100", "--json")))
    assert shown["quota"] == {"bytes": 10 << 30, "objects": 100}
    assert shown["holds"]["objects"] == 3
    assert node.buckets.get("photos").configuration["quota"] == shown["quota"]
    (line,) = run("quota", "get", "photos")
    assert line.endswith("quota 10.0 GiB and 100 versions")
    (line,) = run("quota", "remove", "photos")
    assert line.endswith("quota none")
    assert "quota" not in node.buckets.get("photos").configuration


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("500", 500), ("1k", 1024), ("2M", 2 << 20), ("3GiB", 3 << 30), ("1TB", 1 << 40)]
)
def test_sizes(node: Node, run: Run, text: str, size: int) -> None:
    run("quota", "set", "photos", "--bytes", text)
    assert node.buckets.get("photos").configuration["quota"] == {"bytes": size}


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "photos"],
        ["get", "photos", "--bytes", "1"],
        ["remove", "photos", "--objects", "1"],
        ["set", "photos", "--bytes", "-1"],
        ["set", "photos", "--bytes", "1.5G"],
        ["set", "photos", "--objects", "many"],
        ["double", "photos"],
    ],
)
def test_bad_arguments_change_nothing(node: Node, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    try:
        status = cli.main(["quota", *arguments])
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert "quota" not in node.buckets.get("photos").configuration
