"""A node as a command changes it: beside the server that runs, or alone when none does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ironbucket.errors import AlreadyRunning

if TYPE_CHECKING:
    from ironbucket.config import Settings
    from ironbucket.node import Node


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Node]:
    """The node, ready for changes: the log's lock keeps them apart from the server's. Raises LogDamaged."""
    from ironbucket.node import Node
    from ironbucket.node.recover import running_alone

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(running_alone(settings))
            Node.prepare(settings)
        except AlreadyRunning:
            pass  # it has prepared the node
        node = Node.open(settings)
        stack.callback(node.close)
        yield node
