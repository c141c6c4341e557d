"""The node whose name sorts first among those that answer."""

from __future__ import annotations

from typing import Any

import pytest

from ironbucket.config import Settings
from ironbucket.replication import first
from ironbucket.replication.peer import PeerUnreachable

NAMES = {"a:1": "node-1", "b:1": "node-3"}


class Peer:
    def __init__(self, address: str, secret: str, node: str) -> None:
        self.address = address

    def vector(self) -> dict[str, Any]:
        if self.address not in NAMES:
            raise PeerUnreachable(self.address)
        return {"node": NAMES[self.address]}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("peers", "expected"),
    [((), "node-2"), (("a:1", "b:1"), "node-1"), (("b:1",), "node-2"), (("gone:1", "b:1"), "node-2")],
)
def test_first(monkeypatch: pytest.MonkeyPatch, peers: tuple[str, ...], expected: str) -> None:
    monkeypatch.setattr(first, "Peer", Peer)
    assert first.first_node(Settings(node_id="node-2", cluster_nodes=peers)) == expected
