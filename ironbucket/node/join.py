"""Taking over the state of another node, range by range, while this one serves.

The other node sends the entries of a range of keys as they are at a vector. What it lacks and its vector covers was
removed there; what this node lacks and its own vector covers was removed here; all else is joined. So neither side
needs tombstones for it, and this node's own unshipped records stay: Bieniusa et al., "An Optimized Conflict-free
Replicated Set" (2012). When all ranges are through, this node's logs go on from the vector at which it began.

How far it is stands in the index, in the transaction that made it so: an index that is lost begins anew.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice

from ironbucket import failpoints
from ironbucket.clock import Stamp, wall_ms
from ironbucket.errors import EpochDiverged, IronBucketError
from ironbucket.node import entries, heads, resync
from ironbucket.node.commit import Committer, Transaction
from ironbucket.node.heads import LogFiles
from ironbucket.node.merge import join, renew
from ironbucket.node.rebuild import drop_copy
from ironbucket.node.snapshot import set_position
from ironbucket.store import buckets, keys
from ironbucket.store.buckets import NEVER, BucketRow
from ironbucket.store.index import Index
from ironbucket.store.model import Kind, Version
from ironbucket.store.payloads import Payloads
from ironbucket.store.scan import states

_ROW = "join"  # of the table `meta`
_PAGE = 1000  # keys
#: milliseconds without a word after which another node may begin anew
_PATIENCE_MS = 60_000


class Occupied(IronBucketError):
    """Another node brings its state just now."""


class OutOfStep(IronBucketError):
    """What was sent does not continue what has arrived."""


@dataclass(frozen=True, slots=True)
class Session:
    """A state that is being taken over: from whom, at which vector, and up to where it has arrived."""

    id: str
    sender: str
    request: str  # of the resync that it answers; "" otherwise
    vector: Mapping[str, tuple[int, str]]  # "node/epoch" -> (sequence, chain hash)
    bucket: str = ""
    key: str | None = None  # hexadecimal; None: the bucket is through
    count: int = 0  # entries
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """The entries of one bucket with keys in (after, upto], as the sender has them at `vector`."""

    session: str
    bucket: BucketRow
    after: bytes
    upto: bytes | None  # None: to the last key
    entries: Sequence[Version]
    vector: Mapping[str, int]
    clock: tuple[int, int]


class Joiner:
    """What this node does with the state of another."""

    def __init__(self, index: Index, payloads: Payloads, committer: Committer, files: LogFiles) -> None:
        self._index, self._payloads, self._committer, self._files = index, payloads, committer, files

    def begin(
        self, sender: str, request: str, vector: Mapping[str, tuple[int, str]], *, restart: bool = False
    ) -> Session:
        """A session of this sender: the one that was broken off, or with `restart` a new one. Raises Occupied."""

        def change(transaction: Transaction) -> Session:
            known = load(transaction.connection)
            if known is not None and (known.sender, known.request) == (sender, request) and not restart:
                return known
            if known is not None and known.sender != sender and wall_ms() - known.last_ms < _PATIENCE_MS:
                raise Occupied(f"{known.sender} brings its state just now")
            return _save(transaction.connection, Session(secrets.token_hex(8), sender, request, vector))

        return self._committer.submit(change)

    def lacks(self, places: Sequence[tuple[str, str, str, int, int]]) -> list[int]:
        """Which payloads are not here, of (bucket, key, version, size, parts). One of a wrong size is removed."""
        lacking = []
        for number, (bucket, key, version, size, parts) in enumerate(places):
            path = self._payloads.layout.payload(bucket, key, version)
            try:
                if not parts and os.path.getsize(path) != size:
                    self._payloads.remove(path)
                    lacking.append(number)
                elif parts and not os.path.isdir(path):
                    lacking.append(number)
            except FileNotFoundError:
                lacking.append(number)
        return lacking

    def take(self, part: Range) -> Session:
        """Join a range, whose payloads are staged or here already. Raises OutOfStep."""
        self._committer.submit(partial(self._restore, part))
        failpoints.hit("range-restored")
        there = {(keys.encode_key(entry.key), entry.version) for entry in part.entries}
        row = buckets.load(self._index.reader, part.bucket.name)
        if row is not None:
            self._remove_stale(row, part.after, part.upto, there, part.vector)
        return self._committer.submit(partial(_advance, part))

    def finish(self, session_id: str, names: Sequence[str]) -> None:
        """All ranges are through; `names` are the sender's buckets. From now on the logs count. Raises OutOfStep."""
        session = load(self._index.reader)
        if session is None or session.id != session_id:
            raise OutOfStep("this state is not being taken over")
        vector = {stream: sequence for stream, (sequence, _) in session.vector.items()}
        for row in list(buckets.scan(self._index.reader)):
            if row.name not in names:
                self._remove_stale(row, b"", None, set(), vector)
                self._committer.submit(partial(self._remove_bucket, name=row.name, vector=vector))
        failpoints.hit("join-finishing")
        self._committer.undisturbed(partial(self._adopt, session), durable=True)
        if session.request:
            resync.done(self._files.directory, session.request)

    # -- under the log's lock -------------------------------------------------------------------------------------

    def _restore(self, part: Range, transaction: Transaction) -> None:
        connection = transaction.connection
        session = _expect(connection, part)
        transaction.witness(part.clock)
        row = entries.restore_bucket(connection, part.bucket)
        transaction.applied.settle.append(partial(self._payloads.prepare_bucket, row.name))
        known = {} if session.request else _vector(connection)
        self._payloads.sync_staging([row.name])
        for entry in part.entries:
            old = transaction.state(row, entry.key)
            here = any(one.version == entry.version for one in old)
            if not here and entry.sequence and entry.sequence <= known.get(_stream(entry.stamp), 0):
                self._payloads.remove(self._payloads.layout.staged(row.name, entry.key, entry.version))
                continue  # it was here, and something that is known here has removed it
            merged = renew(old, entry) if session.request else join(old, entry)
            transaction.keep(row, entry.key, merged.state)
            if entry.kind is Kind.OBJECT:
                transaction.applied.settle.append(partial(self._payloads.settle, row.name, entry.key, entry.version))
            self._free(connection, merged.freed)

    def _remove_stale(
        self,
        row: BucketRow,
        after: bytes,
        upto: bytes | None,
        there: set[tuple[bytes, str]],
        vector: Mapping[str, int],
    ) -> None:
        """Remove entries of a range that the sender does not have, and that its vector covers."""
        own = _vector(self._index.reader)
        for page in self._pages(row, after, upto):
            doomed = {
                key: {one.version for one in state if (key, one.version) not in there and _covers(vector, own, one)}
                for key, state in page
            }
            doomed = {key: versions for key, versions in doomed.items() if versions}
            if doomed:
                self._committer.submit(partial(self._remove, row, doomed))

    def _pages(self, row: BucketRow, after: bytes, upto: bytes | None) -> Iterator[list[tuple[bytes, keys.State]]]:
        while True:
            page = list(islice(states(self._index, self._index.reader, row.number, row.name, after, upto), _PAGE))
            yield page
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def _remove(self, row: BucketRow, doomed: Mapping[bytes, set[str]], transaction: Transaction) -> None:
        for name, versions in doomed.items():
            key = keys.decode_key(name)
            old = transaction.state(row, key)
            transaction.keep(row, key, tuple(one for one in old if one.version not in versions))
            freed = [one for one in old if one.version in versions and one.kind is Kind.OBJECT]
            self._free(transaction.connection, freed)

    def _remove_bucket(self, transaction: Transaction, name: str, vector: Mapping[str, int]) -> None:
        """Forget a bucket that the sender does not know, where its vector covers all that is known of it here."""
        connection = transaction.connection
        row = buckets.load(connection, name)
        if row is None or next(states(self._index, connection, row.number, name), None) is not None:
            return
        own = _vector(connection)
        if all(_covers_stream(vector, own, stamp) for stamp in entries.stamps(row) if stamp != NEVER):
            connection.execute("DELETE FROM buckets WHERE id = ?", (row.number,))

    def _adopt(self, session: Session, connection: sqlite3.Connection) -> None:
        """Go on from the session's vector: copies of logs that end before it are replaced by what comes after it."""
        now = load(connection)
        if now is None or now.id != session.id:
            raise OutOfStep("this state is not being taken over")
        for stream, (sequence, chain) in session.vector.items():
            node, _, epoch = stream.partition("/")
            head = heads.load(connection, node, epoch)
            if (node, epoch) == (self._files.node, self._files.own_epoch):
                if sequence > head.sequence:
                    raise EpochDiverged(
                        f"{session.sender} holds record {sequence} of this node's log, which ends at {head.sequence}"
                    )
            elif sequence > head.sequence or (session.request and sequence == head.sequence):
                drop_copy(self._files.active_path(node, epoch), epoch)
                set_position(connection, stream, sequence, chain)
        connection.execute("DELETE FROM meta WHERE name = ?", (_ROW,))

    def _free(self, connection: sqlite3.Connection, freed: Sequence[Version]) -> None:
        for one in freed:
            path = self._payloads.layout.payload(one.bucket, one.key, one.version)
            connection.execute("INSERT OR IGNORE INTO garbage VALUES (?, ?, ?)", (path, wall_ms(), one.size))


def load(connection: sqlite3.Connection) -> Session | None:
    """The session under way."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_ROW,)).fetchone()
    return Session(**json.loads(row[0])) if row else None


def _save(connection: sqlite3.Connection, session: Session) -> Session:
    session = replace(session, last_ms=wall_ms())
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_ROW, json.dumps(asdict(session))))
    return session


def _expect(connection: sqlite3.Connection, part: Range) -> Session:
    """The session that a range continues. Raises OutOfStep."""
    session = load(connection)
    if session is None or session.id != part.session:
        raise OutOfStep("this state is not being taken over")
    continues = session.key is not None and part.bucket.name == session.bucket and part.after.hex() == session.key
    if not continues and (part.bucket.name <= session.bucket or part.after):
        raise OutOfStep(f"the state has arrived up to {session.bucket}, key {session.key}")
    return session


def _advance(part: Range, transaction: Transaction) -> Session:
    session = _expect(transaction.connection, part)
    place = None if part.upto is None else part.upto.hex()
    return _save(
        transaction.connection,
        replace(session, bucket=part.bucket.name, key=place, count=session.count + len(part.entries)),
    )


def _vector(connection: sqlite3.Connection) -> dict[str, int]:
    return {f"{head.node}/{head.epoch}": head.sequence for head in heads.load_all(connection)}


def _stream(stamp: Stamp) -> str:
    return f"{stamp.node}/{stamp.epoch}"


def _covers(vector: Mapping[str, int], own: Mapping[str, int], entry: Version) -> bool:
    """Whether the record that made an entry is among those of `vector`."""
    if entry.sequence:
        return entry.sequence <= vector.get(_stream(entry.stamp), 0)
    return _covers_stream(vector, own, entry.stamp)


def _covers_stream(vector: Mapping[str, int], own: Mapping[str, int], stamp: Stamp) -> bool:
    """As `_covers`, where only the stamp is known: certainly, if nothing of that log here is beyond `vector`."""
    stream = _stream(stamp)
    return 0 < own.get(stream, 0) <= vector.get(stream, 0)
