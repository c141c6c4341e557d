"""The node: what S3's operations and a peer's records mean for the log and the store. Knows no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ironbucket.node.node import Node

__all__ = ["Node"]


def __getattr__(name: str) -> Any:
    """`Node` on first use: the replicator starts every few seconds and needs a few of the modules only."""
    if name == "Node":
        from ironbucket.node.node import Node

        return Node
    raise AttributeError(name)
