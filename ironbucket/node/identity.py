"""Which life of this node the log belongs to: the epoch, and when a new one has to begin.

Two different records must never share (node, epoch, sequence). They could after a log was put back from an older
copy, because the node would hand out the same sequences again. So a node begins a new epoch when its files are
not the ones it wrote itself, even before it has met a peer:

* ``node.json`` holds the inode of itself and of the log, and its own change time, which no copy preserves;
* ``.sequence`` or the index may know of records that the log does not hold.

The old epoch stays readable under ``peers/``; what other nodes still have of it comes back from them.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
from dataclasses import dataclass

from ironbucket import fsutil
from ironbucket.clock import wall_ms
from ironbucket.errors import ConfigurationError
from ironbucket.wal.reader import tail
from ironbucket.wal.record import NO_CHAIN, epoch_chain
from ironbucket.wal.segment import Header, read_header, segments
from ironbucket.wal.stream import ActiveSegment

_STATE = "node.json"


@dataclass(frozen=True, slots=True)
class Identity:
    node: str
    epoch: str
    began: str = ""  # why this epoch was begun just now; "" when it goes on


def new_epoch() -> str:
    """A name that sorts by time and is never given twice: milliseconds and 16 random bits, hexadecimal."""
    return f"{wall_ms():x}{secrets.token_hex(2)}"


def settle(wal_path: str, node: str, index_path: str, *, logged: bool) -> Identity:
    """The node's epoch, a new one if need be. Called before any process of the node takes writes.

    Raises ConfigurationError when the log belongs to a node of another name, LogDamaged.
    """
    directory = os.path.dirname(wal_path)
    fsutil.make_directory(directory)
    known = _read_state(directory)
    if not logged:
        return Identity(node, str(known.get("epoch") or _write_state(wal_path, node, new_epoch())))
    header = _header(wal_path)
    if header is None:
        epoch = new_epoch()
        ActiveSegment.create(wal_path, Header(node, epoch, 1, epoch_chain(epoch, NO_CHAIN))).close()
        _write_state(wal_path, node, epoch)
        return Identity(node, epoch, "the log is new")
    if header.node != node:
        raise ConfigurationError(
            f"{wal_path} belongs to node {header.node!r}, but NODE_ID is {node!r}. "
            "Set NODE_ID back, or give this node a WAL_PATH of its own."
        )
    doubt = _doubt(wal_path, header, known, index_path)
    if not doubt:
        return Identity(node, header.epoch)
    return Identity(node, begin_epoch(wal_path), doubt)


def begin_epoch(wal_path: str) -> str:
    """Close the log and go on in a new epoch, which continues the old one's sequence and chain."""
    header, last, _ = tail(wal_path)
    sequence = last.record.sequence if last else header.first - 1
    chain = last.chain if last else header.chain
    epoch = new_epoch()
    for segment in segments(wal_path, header.epoch):
        _retire(wal_path, header, segment.path)
    successor = Header(header.node, epoch, sequence + 1, epoch_chain(epoch, chain), header.epoch, sequence)
    ActiveSegment.create(wal_path, successor).close()
    _write_state(wal_path, header.node, epoch)
    return epoch


def _retire(wal_path: str, header: Header, path: str) -> None:
    """A segment of a past epoch moves to where copies of logs lie: from now on it is one."""
    place = os.path.join(os.path.dirname(wal_path), "peers", header.node)
    fsutil.make_directory(place)
    name = f"{header.epoch}.log" if path == wal_path else os.path.basename(path).removeprefix("wal-")
    os.rename(path, os.path.join(place, name))
    fsutil.sync_directory(place)
    fsutil.sync_directory(os.path.dirname(wal_path))


def _header(wal_path: str) -> Header | None:
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(wal_path) == 0:
            os.unlink(wal_path)  # the specification's manual rotation leaves an empty file
        return read_header(wal_path)[0]
    return _reopened(wal_path)


def _reopened(wal_path: str) -> Header | None:
    """After a crash in the middle of a rotation: the closed segment is there, its successor is not."""
    directory = os.path.dirname(wal_path)
    epochs = {name.removeprefix("wal-").split("-")[0] for name in os.listdir(directory) if name.startswith("wal-")}
    if not epochs:
        return None
    epoch = max(epochs)
    newest = segments(wal_path, epoch)[-1]
    header, last, _ = tail(newest.path)
    first, chain = (last.record.sequence + 1, last.chain) if last else (header.first, header.chain)
    successor = Header(header.node, epoch, first, chain)
    ActiveSegment.create(wal_path, successor).close()
    return successor


def _doubt(wal_path: str, header: Header, known: dict[str, object], index_path: str) -> str:
    """Why the log may not be the one that this node wrote last; "" when there is no reason to doubt."""
    _, last, _ = tail(wal_path)
    sequence = last.record.sequence if last else header.first - 1
    noted = _noted_sequence(os.path.dirname(wal_path))
    if noted is not None and noted > sequence:
        return f"the log ends at {sequence}, but {noted} had been written"
    applied = _applied_sequence(index_path, header)
    if applied > sequence:
        return f"the log ends at {sequence}, but the index has applied {applied}"
    if known and known.get("epoch") == header.epoch and known.get("identity") != _fingerprint(wal_path):
        return "the files of the log are not the ones this node wrote: they were put back from a copy"
    if not known:
        return "node.json is missing"
    return ""


def _noted_sequence(directory: str) -> int | None:
    try:
        with open(os.path.join(directory, ".sequence"), "rb") as source:
            return int(source.readline(32))
    except (FileNotFoundError, ValueError):
        return None  # a cache, absent or torn: nothing follows from it


def _applied_sequence(index_path: str, header: Header) -> int:
    if not os.path.exists(index_path):
        return 0
    with contextlib.closing(sqlite3.connect(index_path)) as connection:
        try:
            row = connection.execute(
                "SELECT sequence FROM streams WHERE node = ? AND epoch = ?", (header.node, header.epoch)
            ).fetchone()
        except sqlite3.Error:
            return 0  # an index that cannot be read says nothing about the log; opening it reports the damage
    return int(row[0]) if row else 0


def _fingerprint(wal_path: str) -> list[int]:
    own = os.stat(os.path.join(os.path.dirname(wal_path), _STATE))
    return [own.st_ino, own.st_ctime_ns]


def _read_state(directory: str) -> dict[str, object]:
    try:
        with open(os.path.join(directory, _STATE), "rb") as source:
            state = json.load(source)
        with open(os.path.join(directory, _STATE + ".id"), "rb") as source:
            state["identity"] = json.load(source)
    except (FileNotFoundError, ValueError):
        return {}
    return dict(state)


def _write_state(wal_path: str, node: str, epoch: str) -> str:
    """`node.json`, and beside it what identifies that very file: it cannot hold its own change time."""
    path = os.path.join(os.path.dirname(wal_path), _STATE)
    fsutil.replace_file(path, json.dumps({"node": node, "epoch": epoch}).encode() + b"\n")
    fsutil.replace_file(path + ".id", json.dumps(_fingerprint(wal_path)).encode() + b"\n")
    return epoch
