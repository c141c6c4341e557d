"""Reading on any node: what has not arrived here yet is read from a peer that has it, within a bounded time.

What this node knows to be deleted or overwritten is never returned, whatever a peer answers: a peer's version is held
against what is known here by the rules of the merge.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as TimedOut
from typing import TYPE_CHECKING, Any

from ironbucket.clock import Stamp
from ironbucket.errors import IronBucketError, ServiceUnavailable
from ironbucket.replication.peer import Peer, PeerRefused
from ironbucket.store.model import Bucket, Kind, Version

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)

#: seconds for which a peer that did not answer is not asked again
_SULK = 3.0
#: seconds that a client waits at most for the peers' answers
PATIENCE = 1.0


def document(version: Version) -> dict[str, Any]:
    """A version, for a peer."""
    return {
        "version": version.version,
        "null": version.null,
        "stamp": list(version.stamp),
        "size": version.size,
        "etag": version.etag,
        "attributes": dict(version.attributes),
        "sequence": version.sequence,
    }


def from_document(bucket: str, key: str, answer: dict[str, Any]) -> Version:
    """The inverse of `document`."""
    return Version(
        bucket,
        key,
        answer["version"],
        answer["null"],
        Kind.OBJECT,
        Stamp(*answer["stamp"]),
        answer["size"],
        answer["etag"],
        answer["attributes"],
        sequence=answer["sequence"],
    )


class RemotePayload:
    """The bytes of a version, streamed from a peer. Used as a `Payload` without extents."""

    def __init__(self, peer: Peer, query: dict[str, str], size: int) -> None:
        self.size = size
        self._stack = contextlib.ExitStack()
        self._stack.callback(peer.close)
        try:
            self._response = self._stack.enter_context(peer.open("bytes", query))
        except BaseException:
            self._stack.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        remaining = self.size
        while remaining:
            chunk = self._response.read(min(remaining, 1 << 18))
            if not chunk:
                raise ServiceUnavailable("The peer that holds this object stopped sending it. Try again.")
            remaining -= len(chunk)
            yield chunk

    def __enter__(self) -> RemotePayload:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()


class Fetcher:
    """Asks the peers, all at once. One per process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._silent: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(max(2, 4 * len(settings.cluster_nodes)), "fetch")
        self._local = threading.local()

    def find(self, bucket: str, key: str, version_id: str | None) -> Version | None:
        """The newest version that a peer has and this node has not seen; None when no peer answers that it has one."""
        query = {"bucket": bucket, "key": key} | ({"version_id": version_id} if version_id else {})
        best: tuple[Version, str] | None = None
        for address, answer in self._ask("object", query):
            version = from_document(bucket, key, answer)
            if best is None or version.stamp > best[0].stamp:
                best = version, address
        return best[0] if best else None

    def bucket(self, name: str) -> Bucket | None:
        """A bucket as the peer knows it that has its newest creation; None when no peer answers that it exists."""
        found = [
            Bucket(name, Stamp(*answer["created"]), answer["owner"], answer["configuration"])
            for _, answer in self._ask("bucket", {"bucket": name})
        ]
        return max(found, key=lambda bucket: bucket.created, default=None)

    def payload(self, version: Version, start: int, length: int) -> RemotePayload | None:
        """The bytes of a version from the first peer that has them."""
        place = {"bucket": version.bucket, "key": version.key, "version": version.version}
        place |= {"size": str(version.size), "parts": str(version.parts)}  # the peer may have replaced it meanwhile
        for address, answer in self._ask("object", {**place, "payload": "1"}):
            if answer["version"] != version.version:
                continue
            peer = Peer(address, self._settings.cluster_secret, self._settings.node_id)
            query = {**place, "start": str(start), "length": str(length)}
            try:
                return RemotePayload(peer, query, length)
            except IronBucketError as error:
                log.warning("%s has %s/%s but does not send it: %s", address, version.bucket, version.key, error)
        return None

    def _ask(self, what: str, query: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """(address, answer) of the peers that have it, as they come, for `PATIENCE` seconds."""
        now = time.monotonic()
        asked: dict[Future[dict[str, Any] | None], str] = {
            self._pool.submit(self._ask_one, address, what, query): address
            for address in self._settings.cluster_nodes
            if self._silent.get(address, 0.0) < now
        }
        try:
            for future in as_completed(asked, timeout=PATIENCE):
                answer = future.result()
                if answer is not None:
                    yield asked[future], answer
        except TimedOut:
            for future, address in asked.items():
                if not future.done():
                    self._silent[address] = time.monotonic() + _SULK

    def _ask_one(self, address: str, what: str, query: dict[str, str]) -> dict[str, Any] | None:
        peers: dict[str, Peer] = self._local.__dict__.setdefault("peers", {})
        peer = peers.get(address)
        if peer is None:
            peer = peers[address] = Peer(
                address, self._settings.cluster_secret, self._settings.node_id, timeout=PATIENCE
            )
        try:
            return peer.get(what, query)
        except PeerRefused as refusal:
            if refusal.status != 404:
                log.warning("%s: %s", address, refusal)
            return None
        except IronBucketError as error:
            self._silent[address] = time.monotonic() + _SULK
            log.info("%s is not asked for %g s: %s", address, _SULK, error)
            return None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
