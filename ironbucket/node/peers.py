"""What this node knows of how far its peers are, and what follows for all that is kept for them.

The replicator notes it (STATE_PATH); the command line hands it in, because this layer knows no replicator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ironbucket.clock import wall_ms

Vector = Mapping[str, int]  # "node/epoch" -> sequence


@dataclass(frozen=True, slots=True)
class Peer:
    """One configured peer, as it was seen last."""

    address: str
    node: str = ""  # "" until it has answered once
    vector: Vector = field(default_factory=dict)
    contact_ms: int = 0  # Unix time of its last answer; 0 for never


#: every configured peer, also those that were never reached
Peers = Callable[[], Sequence[Peer]]


def alone() -> Sequence[Peer]:
    """The peers of a node without any."""
    return ()


@dataclass(frozen=True, slots=True)
class Settled:
    """A moment up to which nodes agree: all that was applied here by then is held by every peer, and no peer can still
    send what it made before it held that."""

    ms: int = 0
    vector: Vector = field(default_factory=dict)

    def covers(self, stream: str, sequence: int) -> bool:
        return sequence <= self.vector.get(stream, 0)


class Agreement:
    """Finds such moments, one after the other.

    A moment is noted with this node's vector. Each peer in turn has to report a vector that reaches it; its own logs,
    as far as they went in that report, then have to arrive here: later records of that peer have later stamps than
    anything in the moment, and cannot lose to it.
    """

    def __init__(self) -> None:
        self.settled = Settled()
        self._candidate: Settled | None = None
        self._awaited: dict[str, Vector] = {}  # address -> what has to arrive here from that peer

    def observe(self, own: Vector, peers: Sequence[Peer]) -> Settled:
        """Take note of vectors; returns the newest moment that is known to be settled."""
        if self._candidate is None:
            self._candidate, self._awaited = Settled(wall_ms(), dict(own)), {}
        for peer in peers:
            # the report must be younger than the moment: an older one may be of a life before a restored backup
            if (
                peer.address not in self._awaited
                and peer.contact_ms >= self._candidate.ms
                and reaches(peer.vector, self._candidate.vector)
            ):
                made = {stream: n for stream, n in peer.vector.items() if stream.partition("/")[0] == peer.node}
                self._awaited[peer.address] = made
        if all(reaches(own, self._awaited.get(peer.address, {"/": 1})) for peer in peers):
            self.settled, self._candidate = self._candidate, None
        return self.settled


def reaches(one: Vector, other: Vector) -> bool:
    """Whether a vector holds all that another one does."""
    return all(one.get(stream, 0) >= sequence for stream, sequence in other.items())


class Reckoning:
    """Which peers things are still kept for: one that is away for longer than the logs are kept is dropped."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds."""
        self._patience_ms = patience * 1000
        self._first_seen: dict[str, int] = {}  # of peers that were never reached: when that was first noticed

    def counted(self, peers: Sequence[Peer]) -> tuple[list[Peer], list[Peer]]:
        """(the peers that count, those that are dropped)."""
        now = wall_ms()
        counted: list[Peer] = []
        dropped: list[Peer] = []
        for peer in peers:
            since = peer.contact_ms or self._first_seen.setdefault(peer.address, now)
            (dropped if now - since > self._patience_ms else counted).append(peer)
        return counted, dropped
