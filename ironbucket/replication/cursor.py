"""What the replicator remembers of its peers: STATE_PATH, as JSON that a person can read.

A cache: the truth is what each peer answers when it is asked for its vector. Deleting it costs one question to each.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from ironbucket import failpoints, fsutil
from ironbucket.clock import wall_ms
from ironbucket.node.peers import Peer

Vector = dict[str, tuple[int, str]]  # "node/epoch" -> (sequence, chain hash)


@dataclass(slots=True)
class Cursor:
    """One peer."""

    address: str
    node: str = ""
    vector: dict[str, list[Any]] = field(default_factory=dict)
    last_contact_ms: int = 0
    last_error: str = ""
    last_error_ms: int = 0
    skew_ms: int = 0  # the peer's clock less ours
    backlog_entries: int = 0
    backlog_since_ms: int = 0  # stamp of the oldest entry that waits
    #: logs of other nodes that the peer lacks: "node/epoch" -> (where it stands, since when in ms)
    waiting: dict[str, tuple[int, int]] = field(default_factory=dict)
    transfer: dict[str, Any] = field(default_factory=dict)  # a state on its way: where it is, entries so far
    refused: dict[str, str] = field(default_factory=dict)  # "node/epoch/sequence" -> the peer's reason

    def reached(self, answer: dict[str, Any]) -> None:
        """Note what the peer said of itself."""
        self.node = str(answer.get("node", self.node))
        self.vector = answer["vector"]
        self.last_contact_ms = wall_ms()
        if "clock" in answer:
            self.skew_ms = int(answer["clock"]) - self.last_contact_ms
        self.last_error = ""

    def failed(self, reason: str) -> None:
        self.last_error, self.last_error_ms = reason, wall_ms()

    def sequence(self, stream: str) -> int:
        """How far the peer holds a stream."""
        return int(self.vector.get(stream, (0, ""))[0])


class State:
    """The file. Several threads, one for each peer, change their own cursor and save."""

    def __init__(self, path: str, node: str, addresses: tuple[str, ...]) -> None:
        self.path, self.node = path, node
        self._lock = threading.Lock()
        known = read(path)
        self.peers = {address: known.get(address) or Cursor(address) for address in addresses}
        self._saved = b""

    def save(self) -> None:
        """Whole or not at all. Not synced: it can be lost without harm."""
        with self._lock:
            document = {"node": self.node, "peers": [asdict(cursor) for cursor in self.peers.values()]}
            data = json.dumps(document, indent=1).encode() + b"\n"
            if data == self._saved:
                return
            fsutil.make_directory(os.path.dirname(self.path))
            temporary = f"{self.path}.tmp"
            with open(temporary, "wb") as target:
                target.write(data)
            failpoints.hit("state-written")
            os.rename(temporary, self.path)
            self._saved = data


def seen(path: str, addresses: tuple[str, ...]) -> list[Peer]:
    """Every configured peer as the replicator saw it last, for those who keep things until the peers have them."""
    known = read(path)
    found = []
    for address in addresses:
        cursor = known.get(address) or Cursor(address)
        vector = {stream: int(position[0]) for stream, position in cursor.vector.items()}
        found.append(Peer(address, cursor.node, vector, cursor.last_contact_ms))
    return found


def read(path: str) -> dict[str, Cursor]:
    """The cursors by address; {} when the file is absent or unreadable."""
    try:
        with open(path, "rb") as source:
            return {peer["address"]: Cursor(**peer) for peer in json.load(source)["peers"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
