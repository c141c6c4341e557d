"""What must hold between settings."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ironbucket.config import Settings, rules

SECRET = "0123456789abcdef"


def problems(**values: Any) -> str:
    needs = values.pop("needs", ())
    return "\n".join(rules.problems(Settings(**values), frozenset(values), needs))


def cluster(**values: Any) -> str:
    usual: dict[str, Any] = {"node_id": "a", "cluster_nodes": ("b.lan:9000",), "cluster_secret": SECRET}
    return problems(**(usual | values))


def test_the_defaults_and_a_cluster_are_in_order() -> None:
    assert problems() == ""
    assert cluster() == ""


def test_what_a_command_needs_must_be_set() -> None:
    found = problems(needs=("access_key", "secret_key"))
    assert "ACCESS_KEY is not set: choose" in found
    assert "SECRET_KEY=$(openssl rand" in found
    assert problems(access_key="root", secret_key="12345678", needs=("access_key", "secret_key")) == ""


def test_a_cluster_needs_a_secret_a_name_and_the_log() -> None:
    assert "CLUSTER_SECRET is not" in cluster(cluster_secret="")
    assert "WAL_ENABLED=true" in cluster(wal_enabled=False)
    assert "NODE_ID is not" in problems(cluster_nodes=("b:1",), cluster_secret=SECRET)


def test_the_cluster_secret_is_not_the_secret_key() -> None:
    assert "same as SECRET_KEY" in cluster(secret_key=SECRET)


def test_acknowledgement_by_others_needs_others() -> None:
    assert "REPLICATION_ACK=all needs" in problems(replication_ack="all")
    assert cluster(replication_ack="all") == ""


@pytest.mark.parametrize("node", ["127.0.0.1:9000", "localhost:9000", "[::1]:9000", f"{os.uname().nodename}:9000"])
def test_a_node_that_listens_everywhere_is_not_its_own_peer(node: str) -> None:
    assert "which is this node" in cluster(cluster_nodes=(node.lower(),))
    assert cluster(cluster_nodes=(node.lower(),), port=9001) == ""


def test_several_nodes_may_share_a_machine() -> None:
    assert cluster(host="127.0.0.2", cluster_nodes=("127.0.0.1:9000",)) == ""
    assert "which is this node" in cluster(host="127.0.0.1", cluster_nodes=("localhost:9000",))
    assert "which is this node" in cluster(host="10.1.1.1", cluster_nodes=("10.1.1.1:9000",))


def test_an_address_of_this_machine_is_recognised() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            own = "127.0.0.1"  # a machine without a route has no other address
        else:
            own = probe.getsockname()[0]
    assert "which is this node" in cluster(cluster_nodes=(f"{own}:9000",))
    assert cluster(cluster_nodes=("192.0.2.1:9000",)) == ""


def test_paths_are_of_the_right_kind(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not a folder" in problems(storage_path=str(tmp_path / "file"))
    assert "such as" in problems(wal_path=str(tmp_path))
    assert "three different paths" in problems(wal_path="/x", state_path="/x")
    assert problems(storage_path=str(tmp_path), wal_path=str(tmp_path / "w"), state_path=str(tmp_path / "s")) == ""


def test_warnings_say_what_is_at_risk() -> None:
    given = frozenset({"wal_path"})
    settings = Settings(wal_flush_interval=5, secret_key="x" * 15, cluster_secret=SECRET, wal_enabled=False)
    found = "\n".join(rules.warnings(settings, given))
    assert "power loss" in found
    assert "easy to guess" in found
    assert "CLUSTER_NODES is not" in found
    assert "WAL_PATH is set" in found
    assert rules.warnings(Settings(), frozenset()) == []
