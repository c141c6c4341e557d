"""The collection's filters: members and peers from an inventory, what is refused, and what one node lacks."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

PLACE = Path(__file__).parents[2] / "ansible" / "plugins" / "filter" / "cluster.py"
spec = importlib.util.spec_from_file_location("cluster_filters", PLACE)
assert spec is not None
assert spec.loader is not None
cluster = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cluster)

GOOD = {
    "node_access_key": "root",
    "node_secret_key": "3b0a7c5d9e1f42680b7d",
    "node_cluster_secret": "e5d1c9b8a7f6043219283746556473829a0b1c2d",
}
THREE = {f"node-{n}": {"ansible_host": f"10.0.0.1{n}"} for n in (1, 2, 3)}


def test_members_follow_the_inventory() -> None:
    variables: dict[str, dict[str, Any]] = {
        "a": {"ansible_host": "10.0.0.1"},
        "b": {"node_address": "s3-b.lan", "node_id": "node-b", "node_port": 9100, "node_drained": True},
        "c": {"ansible_host": "fd00::3"},
        "d": {},
    }
    found = cluster.members(["a", "b", "c", "d"], variables, excluded=["d"])
    assert [(node["name"], node["address"], node["drained"]) for node in found] == [
        ("a", "10.0.0.1:9000", False),
        ("node-b", "s3-b.lan:9100", True),
        ("c", "[fd00::3]:9000", False),
    ]
    assert cluster.peers(found, "b") == ["10.0.0.1:9000", "[fd00::3]:9000"]


def problems(variables: dict[str, dict[str, Any]] = THREE, **secrets: str) -> list[str]:
    nodes = cluster.members(variables, variables)
    found: list[str] = cluster.problems(nodes, "node-1", cluster.peers(nodes, "node-1"), GOOD | secrets)
    return found


def test_a_good_cluster_has_no_problems() -> None:
    assert problems() == []


def test_ids_and_addresses_must_differ() -> None:
    assert "node id x is given to more than one node: node-1, node-2" in problems(
        {"node-1": {"node_id": "x", "ansible_host": "1"}, "node-2": {"node_id": "x", "ansible_host": "2"}}
    )
    assert "address 10.0.0.1:9000 is given to more than one node: node-1, node-2" in problems(
        {"node-1": {"ansible_host": "10.0.0.1"}, "node-2": {"ansible_host": "10.0.0.1"}}
    )


@pytest.mark.parametrize("name", ["Node-1", "node_1", "-node", "node-", "x" * 33, "a b", "a\tb"])
def test_an_id_that_a_log_line_cannot_have_is_refused(name: str) -> None:
    assert any("must be 1 to 32" in problem for problem in problems({"node-1": {"node_id": name}}))


def test_a_node_is_no_peer_of_its_own() -> None:
    nodes = cluster.members(THREE, THREE)
    assert cluster.problems(nodes, "node-1", ["10.0.0.11:9000"], GOOD) == [
        "node-1 lists itself as a peer: 10.0.0.11:9000"
    ]


@pytest.mark.parametrize("name", ["node_secret_key", "node_cluster_secret"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "short",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "password-password-password-password",
        "ChangeMe1ChangeMe2ChangeMe3ChangeMe4",
        "my-super-secret-cluster-key-12345678",
        "minioadmin-minioadmin-minioadmin-minioadmin",
    ],
)
def test_a_secret_that_is_none_is_refused_without_repeating_it(name: str, value: str) -> None:
    (problem,) = problems(**{name: value})
    assert problem.startswith(name)
    assert not value or value not in problem


def test_secrets_must_not_serve_two_purposes() -> None:
    assert "node_secret_key is the same as node_access_key" in problems(node_access_key=GOOD["node_secret_key"])
    assert any(
        "S3 clients could act as nodes" in problem for problem in problems(node_secret_key=GOOD["node_cluster_secret"])
    )


def test_one_node_needs_no_cluster_secret() -> None:
    assert problems({"node-1": {}}, node_cluster_secret="") == []


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (["0.9.0", "0.10.0"], "0.10.0"),
        (["1.0.0rc1", "1.0.0"], "1.0.0"),
        (["1.0.0", "1.0.0+site2", "1.0.0+site10"], "1.0.0+site10"),
        ([], ""),
    ],
)
def test_the_newest_bundle_is_the_one_of_the_highest_version(versions: list[str], newest: str) -> None:
    assert cluster.newest([f"/bundles/ironbucket-{version}.tar" for version in versions] + ["/bundles/x"]) == newest


def status(node: str, *heads: tuple[str, str, int, str]) -> dict[str, Any]:
    vector = [{"node": n, "epoch": e, "sequence": s, "chain": c} for n, e, s, c in heads]
    return {"node": node, "index": {"vector": vector}}


def test_what_one_node_lacks_of_another() -> None:
    mine = status("node-1", ("node-1", "a1", 5, "x"), ("node-2", "b1", 3, "y"))
    assert cluster.lacking(mine, mine) == []
    assert cluster.lacking(mine, status("node-2", ("node-2", "b1", 7, "z"))) == ["node-1 lacks 4 entries of node-2"]
    assert cluster.lacking(mine, status("node-3", ("node-3", "c1", 1, "z"))) == [
        "node-1 has nothing of node-3, epoch c1"
    ]
    assert cluster.lacking(mine, status("node-3", ("node-3", "c1", 0, "z"))) == []
    assert cluster.lacking(mine, status("node-2", ("node-2", "b1", 3, "other"))) == [
        "node-1 and node-2 hold different logs of node-2"
    ]
    assert cluster.lacking(status("node-1", ("node-2", "b2", 1, "y")), status("node-2", ("node-2", "b1", 9, "z"))) == []
    assert cluster.lacking({"node": "node-4", "index": None}, mine) == [
        "node-4 has nothing of node-1, epoch a1",
        "node-4 has nothing of node-2, epoch b1",
    ]
