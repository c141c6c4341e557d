"""`ironbucket explain` and `ironbucket conflicts` on one node. tests/cluster has concurrent writes."""

import json
from collections.abc import Callable

import pytest

from ironbucket import cli
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Expected
from ironbucket.node.objects import bytes_body

Run = Callable[..., list[str]]
OWNER = "0" * 64


def story(run: Run, name: str) -> dict[str, object]:
    answer: dict[str, object] = json.loads("\n".join(run("explain", name, "--json")))
    return answer


def outcomes(told: dict[str, object]) -> list[str]:
    return [one["outcome"] for one in told["records"]]  # type: ignore[attr-defined]


def test_what_is_there_and_what_it_replaced(node: Node, run: Run) -> None:
    first = node.objects.get("photos", "a")
    node.objects.put("photos", "a", bytes_body(b"second"), Expected(), Attributes(owner=OWNER))
    node.objects.update("photos", "a", None, "tags", {"b": "c"})
    told = story(run, "photos/a")
    second = node.objects.get("photos", "a")
    assert outcomes(told) == [
        f"changes tags of version {second.version}",
        "current",
        f"replaced by {second.version} of node-1",
    ]
    assert told["searched"]["complete"]  # type: ignore[index]
    text = "\n".join(run("explain", "photos/a"))
    assert "6 bytes" in text
    assert f"replaced  version {first.version} of node-1" in text
    assert "through node-1" in text


def test_what_is_deleted(node: Node, run: Run) -> None:
    node.objects.delete("photos", "a")
    told = story(run, "photos/a")
    assert told["current"] is None
    assert outcomes(told)[0] == "the key is deleted"
    assert "photos/a: deleted" in run("explain", "photos/a")[0]


def test_versions(node: Node, run: Run) -> None:
    node.buckets.configure("photos", "versioning", "Enabled")
    node.objects.put("photos", "a", bytes_body(b"second"), Expected(), Attributes(owner=OWNER))
    old = node.objects.get("photos", "a").version
    node.objects.delete("photos", "a")
    node.objects.delete("photos", "a", old)
    assert outcomes(story(run, "photos/a")) == [
        f"removed version {old} for good",
        "current",
        "removed for good",
        "an older version",
    ]


def test_names_cannot_act_on_the_terminal(node: Node, run: Run) -> None:
    assert "\x1b" not in "\n".join(run("explain", "photos/\x1b[2J"))


@pytest.mark.parametrize(("name", "status", "says"), [("photos", 2, "BUCKET/KEY"), ("photos/none", 1, "knows nothing")])
def test_what_cannot_be_explained(
    node: Node, capsys: pytest.CaptureFixture[str], name: str, status: int, says: str
) -> None:
    assert cli.main(["explain", name]) == status
    said = capsys.readouterr()
    assert says in said.out + said.err


def test_no_conflicts(node: Node, run: Run) -> None:
    assert run("conflicts") == ["0 write(s) lost to a concurrent one"]
    assert json.loads("\n".join(run("conflicts", "--json"))) == []
