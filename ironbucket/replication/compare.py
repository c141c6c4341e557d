"""Does a peer hold the same? Vectors and chain hashes first, then digests of buckets, ranges and keys.

Writes go on meanwhile, so the two indexes are rarely read at the same position. A difference counts only when it is
proven: this node at a position A, the peer at B, this node again at C, where B holds all that A held and C all that B
held. If the key was the same here at A and at C it was the same in between, as the merge only ever moves forward; so a
peer that shows something else at B is different. What cannot be proven in time is counted, and named as not decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ironbucket.clock import Stamp
from ironbucket.replication import digest as asked
from ironbucket.replication.digest import Vector
from ironbucket.replication.peer import Peer
from ironbucket.replication.run import Local
from ironbucket.store import buckets, check, digest

#: called with (what is being done, how many steps are done, how many there are or 0)
Progress = Callable[[str, int, int], None]

_CHUNK = 10_000  # keys compared by one digest
_FAN_OUT = 16
_LEAF = 64  # keys that are compared one by one
_TOGETHER = 100  # suspected keys that are looked at together
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which a peer differs, in words. `kind`: behind, diverged, bucket, key or undecided."""

    kind: str
    peer: str
    what: str
    bucket: str = ""
    key: str = ""


@dataclass(slots=True)
class Look:
    """What one side shows of some keys (or buckets), and how far it had applied the logs."""

    vector: Vector
    shown: dict[str, str]
    state: dict[str, str] = field(default_factory=dict)  # this node's side only


class Comparison:
    """This node and one peer. `wait`: seconds given to the replicators to bring both to a common position."""

    def __init__(self, local: Local, peer: Peer, *, wait: float, progress: Progress) -> None:
        self._local, self._peer, self._wait, self._progress = local, peer, wait, progress
        self.compared = self._total = 0  # keys
        self._aligned = True

    def differences(self, bucket: str | None = None) -> Iterator[Difference]:
        """Everything in which the peer differs, as it is found. Raises PeerUnreachable, PeerRefused."""
        yield from self._align()
        self._total = check.count(self._local.index, bucket)
        for one in self._buckets(bucket):
            yield from self._keys(one)
        yield from self._confirmed_buckets(bucket)

    # -- positions ------------------------------------------------------------------------------------------------

    def _align(self) -> Iterator[Difference]:
        """Wait until each side holds what the other held at first; what is still missing then is a difference."""
        deadline = time.monotonic() + self._wait
        goal_here, goal_there = self._vector(), self._peer.vector()["vector"]
        while True:
            here, there = self._vector(), self._peer.vector()["vector"]
            if covers(here, goal_there) and covers(there, goal_here):
                break
            if time.monotonic() > deadline:
                self._aligned = False
                yield from self._behind("this node", here, goal_there)
                yield from self._behind(self._peer.address, there, goal_here)
                break
            self._progress(f"waiting for a common position with {self._peer.address}", 0, 0)
            time.sleep(_PAUSE)
        yield from self._chains(here, there)

    def _behind(self, who: str, vector: Vector, goal: Vector) -> Iterator[Difference]:
        for stream, (sequence, _) in goal.items():
            has = vector.get(stream, (0, ""))[0]
            if has < sequence:
                what = f"{who} holds {stream} up to {has}, {sequence - has} entries less than there are"
                yield Difference("behind", self._peer.address, what)

    def _chains(self, here: Vector, there: Vector) -> Iterator[Difference]:
        for stream in sorted(here.keys() & there.keys()):
            sequence = min(here[stream][0], there[stream][0])
            ours = self._chain_here(stream, sequence, here[stream])
            theirs = self._chain_there(stream, sequence, there[stream])
            if ours and theirs and ours != theirs:
                what = f"record {sequence} of {stream} is another one here: two histories have the same name"
                yield Difference("diverged", self._peer.address, what)

    def _chain_here(self, stream: str, sequence: int, head: list[Any]) -> str:
        return str(head[1]) if head[0] == sequence else asked.chain_at(self._local.files, stream, sequence)

    def _chain_there(self, stream: str, sequence: int, head: list[Any]) -> str:
        if head[0] == sequence:
            return str(head[1])
        return str(self._ask("chain", stream=stream, sequence=sequence)["chain"])

    def _vector(self) -> Vector:
        return asked.vector(self._local.index.reader)

    def _ask(self, what: str, **more: Any) -> dict[str, Any]:
        return self._peer.post("digest", {"ask": what, **more})

    # -- buckets --------------------------------------------------------------------------------------------------

    def _buckets(self, only: str | None) -> list[str]:
        """The names of the buckets that exist on either side."""
        here, there = self._buckets_here().shown, self._buckets_there().shown
        return sorted(name for name in here.keys() | there.keys() if only in (None, name))

    def _buckets_here(self) -> Look:
        with digest.snapshot(self._local.index) as connection:
            rows = {row.name: row for row in buckets.scan(connection)}
            shown = {name: digest.of_bucket(connection, row) for name, row in rows.items()}
            return Look(
                asked.vector(connection),
                {name: value for name, value in shown.items() if value != digest.NOTHING},
                {name: repr((row, shown[name])) for name, row in rows.items()},
            )

    def _buckets_there(self) -> Look:
        found: dict[str, str] = {}
        after: str | None = ""
        vector: Vector = {}
        while after is not None:
            answer = self._ask("buckets", after=after)
            found |= answer["buckets"]
            vector = vector or answer["vector"]
            after = answer["next"]
        return Look(vector, found)

    def _confirmed_buckets(self, only: str | None) -> Iterator[Difference]:
        names = self._buckets(only)
        for name, proven in self._confirm(names, lambda _: self._buckets_here(), lambda _: self._buckets_there()):
            kind = "bucket" if proven else "undecided"
            yield Difference(kind, self._peer.address, "the bucket or its configuration is not the same", name)

    # -- keys -----------------------------------------------------------------------------------------------------

    def _keys(self, bucket: str) -> Iterator[Difference]:
        suspects: list[str] = []
        for key in self._suspects(bucket):
            suspects.append(key)
            if len(suspects) == _TOGETHER:
                yield from self._decide(bucket, suspects)
                suspects = []
        yield from self._decide(bucket, suspects)

    def _suspects(self, bucket: str) -> Iterator[str]:
        """Keys that do not look the same, found by halving ranges (by sixteen) whose digests differ."""
        after: str | None = ""
        while after is not None:
            fold, keys = digest.Fold(), []
            with digest.snapshot(self._local.index) as connection:
                for key, value in digest.of_keys(self._local.index, connection, bucket, after):
                    fold.add(key, value)
                    keys.append(key)
                    if fold.count == _CHUNK:
                        break
            until = keys[-1] if fold.count == _CHUNK else None
            self.compared += fold.count
            self._progress(f"comparing with {self._peer.address}", self.compared, max(self._total, self.compared))
            (theirs,) = self._ask("ranges", bucket=bucket, ranges=[[after, until]])["digests"]
            if theirs != [fold.digest, fold.count]:
                yield from self._narrow(bucket, after, until, keys)
            after = until

    def _narrow(self, bucket: str, after: str, until: str | None, keys: list[str]) -> Iterator[str]:
        if len(keys) <= _LEAF:
            yield from self._one_by_one(bucket, after, until)
            return
        step = -(-len(keys) // _FAN_OUT)
        cuts = [keys[i - 1] for i in range(step, len(keys), step)]
        ranges = list(zip([after, *cuts], [*cuts, until], strict=True))
        theirs = self._ask("ranges", bucket=bucket, ranges=[list(one) for one in ranges])["digests"]
        for i, ((low, high), there) in enumerate(zip(ranges, theirs, strict=True)):
            with digest.snapshot(self._local.index) as connection:
                here = digest.of_range(self._local.index, connection, bucket, low, high)
            if list(here) != there:
                yield from self._narrow(bucket, low, high, keys[i * step : (i + 1) * step])

    def _one_by_one(self, bucket: str, after: str, until: str | None) -> Iterator[str]:
        """Both sides' keys, in pages of the peer's: it may hold many more."""
        low: str | None = after
        while low is not None:
            answer = self._ask("keys", bucket=bucket, after=low, until=until)
            high = answer["next"]
            with digest.snapshot(self._local.index) as connection:
                here = dict(digest.of_keys(self._local.index, connection, bucket, low, until if high is None else high))
            there = answer["keys"]
            yield from sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
            low = high

    def _decide(self, bucket: str, keys: list[str]) -> Iterator[Difference]:
        def here(names: list[str]) -> Look:
            with digest.snapshot(self._local.index) as connection:
                return Look(
                    asked.vector(connection),
                    asked.named(self._local.index, connection, bucket, names),
                    {name: digest.state(self._local.index, connection, bucket, name) for name in names},
                )

        def there(names: list[str]) -> Look:
            answer = self._ask("named", bucket=bucket, keys=names)
            return Look(answer["vector"], answer["keys"])

        for key, proven in self._confirm(keys, here, there):
            kind = "key" if proven else "undecided"
            yield Difference(kind, self._peer.address, self._describe(bucket, key), bucket, key)

    def _describe(self, bucket: str, key: str) -> str:
        with digest.snapshot(self._local.index) as connection:
            entries = digest.entries(self._local.index, connection, bucket, key)
        here = [asked.shown(one) for one in entries[: asked.MOST_ENTRIES]]
        there = self._ask("entries", bucket=bucket, key=key)["entries"]
        if _words(here) == _words(there):
            return f"here and there {_words(here)}, with different metadata"
        return f"here {_words(here)}; there {_words(there)}"

    # -- proof ----------------------------------------------------------------------------------------------------

    def _confirm(
        self, names: list[str], here: Callable[[list[str]], Look], there: Callable[[list[str]], Look]
    ) -> Iterator[tuple[str, bool]]:
        """(name, True) for each that is proven to be different, (name, False) for each that could not be decided."""
        deadline = time.monotonic() + (self._wait if self._aligned else 0)
        while names:
            first = here(names)
            second = self._until(partial(there, names), first.vector, deadline)
            third = self._until(partial(here, names), second.vector, deadline)
            proof = covers(second.vector, first.vector) and covers(third.vector, second.vector)
            left = []
            for name in names:
                shown = second.shown.get(name, digest.NOTHING)
                if shown in (first.shown.get(name, digest.NOTHING), third.shown.get(name, digest.NOTHING)):
                    continue
                if proof and first.state.get(name) == third.state.get(name):
                    yield name, True
                else:
                    left.append(name)
            names = left
            if time.monotonic() > deadline:
                break
        for name in names:
            yield name, False

    def _until(self, look: Callable[[], Look], goal: Vector, deadline: float) -> Look:
        """Look until the vector covers `goal`, or the time is over."""
        while True:
            found = look()
            if covers(found.vector, goal) or time.monotonic() > deadline:
                return found
            time.sleep(_PAUSE)


def covers(vector: Vector, goal: Vector) -> bool:
    """Whether a side at `vector` holds all that one at `goal` holds."""
    return all(vector.get(stream, (0, ""))[0] >= sequence for stream, (sequence, _) in goal.items())


def _words(entries: list[dict[str, Any]]) -> str:
    if not entries:
        return "nothing"
    return ", ".join(_entry_words(one) for one in entries)


def _entry_words(entry: dict[str, Any]) -> str:
    stamp = Stamp(*entry["stamp"])
    what = f"{entry['size']} bytes, ETag {entry['etag']}" if entry["kind"] == "object" else "a delete marker"
    return f"version {entry['version']} of {stamp.node} ({what})"
