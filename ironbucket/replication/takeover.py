"""The receiving side of a transfer of state (`ironbucket.replication.transfer`): endpoints below ``state/``.

POST state/begin    {"sender", "request", "vector", "restart"}    the session, new or resumed
POST state/lacks    {"places": [[bucket, key, version, size, parts]]}    which payloads are not here
POST state/range    a range (ironbucket.replication.ranges)              the session
POST state/finish   {"id", "names"}                                      the node's vector, as GET vector
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ironbucket.clock import MAX_SKEW_MS, wall_ms
from ironbucket.errors import EpochDiverged
from ironbucket.node.join import Joiner, Occupied, OutOfStep
from ironbucket.replication import ranges
from ironbucket.replication.wire import CorruptBatch, Entry, check_place
from ironbucket.store.paths import new_version

if TYPE_CHECKING:
    from ironbucket.node.node import Node

Answer = tuple[int, dict[str, Any]]


class Takeover:
    """The endpoints."""

    def __init__(
        self, node: Node, stage: Callable[[Iterable[Entry]], None], state: Callable[[], dict[str, Any]]
    ) -> None:
        """`stage` puts payloads that came with entries into staging; `state` is what GET vector answers."""
        self._joiner = Joiner(node.index, node.payloads, node.committer, node.files)
        self._stage, self._state = stage, state

    def answer(self, what: str, body: bytes) -> Answer:
        """Raises CorruptBatch, and what staging raises."""
        actions = {"begin": self._begin, "lacks": self._lacks, "range": self._range, "finish": self._finish}
        try:
            return 200, actions[what](body)
        except Occupied as error:
            return 503, {"code": "Busy", "message": error.message}
        except (OutOfStep, EpochDiverged) as error:
            return 409, {"code": type(error).__name__, "message": error.message}

    def _begin(self, body: bytes) -> dict[str, Any]:
        document = _document(body, "sender", "request", "vector", "restart")
        vector = {str(stream): (int(n), str(chain)) for stream, (n, chain) in document["vector"].items()}
        session = self._joiner.begin(
            str(document["sender"]), str(document["request"]), vector, restart=bool(document["restart"])
        )
        return asdict(session)

    def _lacks(self, body: bytes) -> dict[str, Any]:
        places = _document(body, "places")["places"]
        for bucket, _, version, _, _ in places:
            check_place(bucket, version)
        return {"lacks": self._joiner.lacks(places)}

    def _range(self, body: bytes) -> dict[str, Any]:
        part, lines = ranges.parse(body)
        check_place(part.bucket.name, new_version())
        for entry in part.entries:
            check_place(entry.bucket, entry.version)
        if part.clock[0] > wall_ms() + MAX_SKEW_MS:
            raise OutOfStep("the sender has seen stamps far ahead of this node's clock: set the clocks right")
        self._stage(lines)
        return asdict(self._joiner.take(part))

    def _finish(self, body: bytes) -> dict[str, Any]:
        document = _document(body, "id", "names")
        self._joiner.finish(str(document["id"]), list(map(str, document["names"])))
        return self._state()


def _document(body: bytes, *names: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        raise CorruptBatch("the body is not JSON") from None
    if not isinstance(document, dict) or any(name not in document for name in names):
        raise CorruptBatch(f"the body lacks one of {', '.join(names)}")
    return document
