"""What a record means for the state of its key: a pure function, the heart of convergence.

The state of a key is a set of entries. Versions made while versioning was on are a set: each is added once and removed
for ever by a tombstone. The null version (versioning off or suspended) is one register, and the last writer wins
by stamp, be it a PUT, a delete marker or a deletion. Metadata of a version is one register per kind. Each of these is
commutative, associative and idempotent, so any order of any interleaving of origins gives the same state:
Shapiro et al., "Conflict-free Replicated Data Types" (2011).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ironbucket.clock import Stamp
from ironbucket.store.keys import State
from ironbucket.store.model import Kind, Version
from ironbucket.wal.record import DELETE, DELETE_METADATA, PUT, UPDATE_METADATA, Record

#: attributes of a record that describe the change and not the version, and so are not kept with it
_OF_THE_CHANGE = frozenset({"version", "versioned", "logical", "replaced", "marker", "removes", "as_of"})
_UPDATES = "updates"  # kind -> stamp of the update in force


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome."""

    state: State
    freed: tuple[Version, ...] = ()  # versions whose payloads nothing refers to any more
    lost: Version | None = None  # the entry of the null register that this record beat, or that beat it


def merge(state: State, record: Record) -> Merged:
    """The state after `record`, whose key it is the state of."""
    attributes = record.attributes
    if record.operation == PUT:
        return _add(state, _entry(record, Kind.OBJECT))
    if record.operation == DELETE:
        if "removes" in attributes:
            return _remove(state, _entry(record, Kind.TOMBSTONE, version=attributes["removes"], null=False))
        kind = Kind.DELETE_MARKER if attributes.get("marker") else Kind.TOMBSTONE
        return _add(state, _entry(record, kind))
    if record.operation in (UPDATE_METADATA, DELETE_METADATA):
        return Merged(_update(state, record))
    raise ValueError(f"{record.operation} is not a change of a key")


def join(state: State, entry: Version) -> Merged:
    """The state with an entry of another node's state of the same key, or of a snapshot.

    It is what the records behind the entry would have done: commutative, associative and idempotent, as `merge` is.
    """
    known = _find(state, entry.version)
    if entry.kind is Kind.PENDING:
        return Merged(_join_pending(state, entry, known))
    if entry.kind is Kind.TOMBSTONE and not entry.null:
        return _remove(state, entry)
    if known is None or known.kind in (Kind.PENDING, Kind.TOMBSTONE):
        return _add(state, entry)
    joined = _with_updates(known, entry)
    return Merged(state if joined is known else (*_without(state, known), joined))


def renew(state: State, entry: Version) -> Merged:
    """As `join`, but of a version that is here the other node's entry is believed; only newer metadata stays."""
    known = _find(state, entry.version)
    if known is None or known.kind is not entry.kind:
        return join(state, entry)
    return join(_without(state, known), _with_updates(entry, known))


def _join_pending(state: State, entry: Version, known: Version | None) -> State:
    if known is None:
        holder = _null(state)
        outdated = entry.null and holder is not None and holder.stamp > entry.stamp
        return state if outdated else (*state, entry)
    if known.kind is Kind.TOMBSTONE:
        return state
    joined = _with_updates(known, entry)
    return state if joined is known else (*_without(state, known), joined)


def _entry(record: Record, kind: Kind, *, version: str | None = None, null: bool | None = None) -> Version:
    attributes = record.attributes
    return Version(
        bucket=record.bucket,
        key=record.key or "",
        version=version or record.version,
        null=not attributes.get("versioned", False) if null is None else null,
        kind=kind,
        stamp=_stamp(record),
        size=record.size or 0,
        etag=record.etag or "",
        attributes={name: value for name, value in attributes.items() if name not in _OF_THE_CHANGE}
        if kind is not Kind.TOMBSTONE
        else {},
        sequence=record.sequence,
    )


def _stamp(record: Record) -> Stamp:
    """Of what a record makes. An expiration comes right after the version that it saw, and so before anything newer."""
    as_of = record.attributes.get("as_of")
    return Stamp(as_of[0], as_of[1] + 1, record.node, record.epoch) if as_of else record.stamp


def _add(state: State, entry: Version) -> Merged:
    known = _find(state, entry.version)
    if known is not None and known.kind is not Kind.PENDING:
        # met before, or removed before it arrived: then its payload is not wanted
        gone = known.kind is Kind.TOMBSTONE and entry.kind is Kind.OBJECT
        return Merged(state, (entry,) if gone else ())
    if known is not None:
        entry = _with_updates(entry, known)
        state = _without(state, known)
    return _write_null(state, entry) if entry.null else Merged((*state, entry))


def _write_null(state: State, entry: Version) -> Merged:
    holder = _null(state)
    if holder is None:
        return Merged((*_drop_outdated(state, entry.stamp), entry))
    newer, older = (entry, holder) if entry.stamp > holder.stamp else (holder, entry)
    rest = _drop_outdated(_without(state, holder), newer.stamp)
    return Merged((*rest, newer), (older,) if older.kind is Kind.OBJECT else (), lost=older)


def _remove(state: State, tombstone: Version) -> Merged:
    known = _find(state, tombstone.version)
    if known is None:
        return Merged((*state, tombstone))
    if known.kind is Kind.TOMBSTONE:  # removed twice: keep the earlier stamp, whichever came first
        return Merged((*_without(state, known), min(known, tombstone, key=lambda one: one.stamp)))
    return Merged((*_without(state, known), tombstone), (known,) if known.kind is Kind.OBJECT else ())


def _update(state: State, record: Record) -> State:
    """One kind of metadata of one version: the newest stamp wins. It may arrive before the version does."""
    attributes = record.attributes
    version, kind = attributes["of"], attributes["kind"]
    value = attributes.get("value") if record.operation == UPDATE_METADATA else None
    known = _find(state, version)
    if known is None:
        target = Stamp(*attributes["of_stamp"])
        null = not attributes.get("versioned", False)
        holder = _null(state)
        if null and holder is not None and holder.stamp > target:
            return state  # of a null version that has been replaced
        known = Version(record.bucket, record.key or "", version, null, Kind.PENDING, target, 0, "", {})
    elif known.kind is Kind.TOMBSTONE:
        return state
    changed = _updated(known, kind, value, record.stamp)
    return (*_without(state, known), changed) if changed is not known else state


def _updated(entry: Version, kind: str, value: Any, stamp: Stamp) -> Version:
    updates = dict(entry.attributes.get(_UPDATES, {}))
    if kind in updates and Stamp(*updates[kind]) >= stamp:
        return entry
    updates[kind] = list(stamp)
    attributes = {name: old for name, old in entry.attributes.items() if name != kind}
    if value is not None:
        attributes[kind] = value
    return replace(entry, attributes={**attributes, _UPDATES: updates})


def _with_updates(entry: Version, pending: Version) -> Version:
    for kind, stamp in pending.attributes.get(_UPDATES, {}).items():
        entry = _updated(entry, kind, pending.attributes.get(kind), Stamp(*stamp))
    return entry


def _drop_outdated(state: State, stamp: Stamp) -> State:
    """Without metadata that waits for a null version older than `stamp`, which can only lose."""
    return tuple(one for one in state if not (one.null and one.kind is Kind.PENDING and one.stamp < stamp))


def _find(state: State, version: str) -> Version | None:
    return next((one for one in state if one.version == version), None)


def _null(state: State) -> Version | None:
    return next((one for one in state if one.null and one.kind is not Kind.PENDING), None)


def _without(state: State, entry: Version) -> State:
    return tuple(one for one in state if one is not entry)
