"""A ledger of what clients were told, to be compared with what a node holds after a fault.

Each key has one writer, which works on it one request at a time. So a key's contents after a crash must be what
the last acknowledged request left, or what a later, unanswered request would have left: whole, never a mixture.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

#: the state of a key that has no object
ABSENT = ""


def payload(seed: int, size: int) -> bytes:
    """The bytes that belong to this seed: the same in every run."""
    return random.Random(seed).randbytes(size)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Key:
    """What is known of one key: `sure` was acknowledged, each of `maybe` was sent later and not answered."""

    sure: str = ABSENT
    maybe: list[str] = field(default_factory=list)
    acknowledged: int = 0


class Ledger:
    """Thread-safe: each key by its one writer, the summary by anyone."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self._lock = threading.Lock()
        self.acknowledged = 0
        self.unanswered = 0
        self.refused: dict[str, int] = {}
        self._dark = False

    def dark(self, *, is_dark: bool) -> None:
        """While dark no answer counts: after a power cut nobody receives one, but a simulated cut leaves the machine
        running, and its file system may then report a sync as done that never was."""
        self._dark = is_dark

    def _key(self, name: str) -> Key:
        with self._lock:
            return self.keys.setdefault(name, Key())

    def sent(self, name: str, state: str) -> None:
        """A request that would leave `state` (a digest or ABSENT) is about to be sent."""
        self._key(name).maybe.append(state)

    def answered(self, name: str, state: str) -> None:
        """The request was acknowledged: this is the state now, whatever came before."""
        if self._dark:
            self.lost(name)
            return
        key = self._key(name)
        key.sure, key.maybe = state, []
        key.acknowledged += 1
        with self._lock:
            self.acknowledged += 1

    def stored(self, name: str, data: bytes) -> None:
        """A write of these bytes was sent and acknowledged."""
        self.sent(name, digest(data))
        self.answered(name, digest(data))

    def lost(self, name: str) -> None:
        """The connection broke before an answer: the request may or may not have happened."""
        self._key(name)
        with self._lock:
            self.unanswered += 1

    def denied(self, name: str, code: str) -> None:
        """The answer was an error: as far as durability goes, the request may or may not have happened."""
        self._key(name)
        with self._lock:
            self.refused[code] = self.refused.get(code, 0) + 1

    def settle(self, name: str, found: str) -> None:
        """After a check found one of the permitted states, it is the only permitted one from then on."""
        key = self._key(name)
        key.sure, key.maybe = found, []

    def permitted(self, name: str) -> set[str]:
        key = self._key(name)
        return {key.sure, *key.maybe}

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(sorted(self.keys))
