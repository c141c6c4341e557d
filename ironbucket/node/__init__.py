"""The node: what S3's operations and a peer's records mean for the log and the store. Knows no HTTP."""

from ironbucket.node.node import Node

__all__ = ["Node"]
