"""Nodes that know each other, for the tests of the commands that look at a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from tests.harness.process import ACCESS_KEY, REGION, SECRET_KEY, NodeProcess

Nodes = Callable[..., NodeProcess]


def cluster(nodes: Nodes, count: int = 2) -> list[NodeProcess]:
    """`count` nodes, node-1 first, not started."""
    made = [nodes(f"node-{i + 1}", NODE_ID=f"node-{i + 1}", WORKERS=1) for i in range(count)]
    for one in made:
        one.settings["CLUSTER_SECRET"] = "0123456789abcdef0123456789abcdef"
        one.settings["CLUSTER_NODES"] = ",".join(f"127.0.0.1:{other.port}" for other in made if other is not one)
    return made


def address(node: NodeProcess) -> str:
    return f"127.0.0.1:{node.port}"


def client(node: NodeProcess) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=node.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
    )


def replicate(*nodes: NodeProcess) -> None:
    """Each ships what the others lack."""
    for one in nodes:
        done = one.run("replicate")
        assert done.returncode == 0, done.stdout + done.stderr


def asked(node: NodeProcess, *command: str, status: int = 0) -> Any:
    """What a command answers with --json."""
    done = node.run(*command, "--json")
    assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def payload(node: NodeProcess, bucket: str, key: str) -> Path:
    """The payload of the only version of a key whose name needs no escapes."""
    (found,) = (path for path in (node.storage / bucket).glob(f"*/{key}~*") if not path.parent.name.startswith("."))
    return found
