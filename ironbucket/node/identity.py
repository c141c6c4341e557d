"""Which life of this node the log belongs to: the epoch, and when a new one has to begin.

Two different records must never share (node, epoch, sequence). They could after a log was put back from an older
copy, because the node would hand out the same sequences again. So a node begins a new epoch when its files are
not the ones it wrote itself, even before it has met a peer:

* ``node.json.id`` holds the inode and the change time of ``node.json``, which no copy preserves;
* ``.sequence`` or the index may know of records that the log does not hold.

A new epoch continues the sequence and the chain of the old one, whose log stays readable under ``peers/``; what other
nodes still have of it comes back from them. ``node.json.id`` is removed before the first step and written after the
last, so that a crash in between leads to one more epoch at the next start, which harms nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
from dataclasses import dataclass

from ironbucket import failpoints, fsutil
from ironbucket.clock import wall_ms
from ironbucket.errors import ConfigurationError, LogDamaged
from ironbucket.wal.reader import Line, last_line, tail
from ironbucket.wal.record import NO_CHAIN, epoch_chain
from ironbucket.wal.segment import Header, Segment, closed_segments, is_closed, read_header, segments
from ironbucket.wal.stream import ActiveSegment, moved_away, resume

#: what the name of an epoch without a log ends in
UNLOGGED = "u"

_STATE = "node.json"


@dataclass(frozen=True, slots=True)
class Identity:
    node: str
    epoch: str
    began: str = ""  # why this epoch was begun just now; "" when it goes on


def new_epoch(*, logged: bool = True) -> str:
    """A name that sorts by time and is never given twice: milliseconds and 16 random bits, hexadecimal.

    It ends in UNLOGGED for a life without a log (WAL_ENABLED=false), of which only the index knows.
    """
    return f"{wall_ms():x}{secrets.token_hex(2)}{'' if logged else UNLOGGED}"


def settle(wal_path: str, node: str, index_path: str, *, logged: bool) -> Identity:
    """The node's epoch, a new one if need be. Called before any process of the node takes writes.

    Raises ConfigurationError when the log belongs to a node of another name, LogDamaged.
    """
    fsutil.make_directory(os.path.dirname(wal_path))
    known = _read_state(os.path.dirname(wal_path))
    if not logged:
        epoch = str(known.get("epoch", ""))
        if epoch.endswith(UNLOGGED):
            return Identity(node, epoch)
        return Identity(node, _write_state(wal_path, node, new_epoch(logged=False), 0), "the log is switched off")
    header = _header(wal_path, node, str(known.get("epoch", "")))
    if header is None:
        return _first_or_next(wal_path, node)
    if header.node != node:
        raise ConfigurationError(
            f"{wal_path} belongs to node {header.node!r}, but NODE_ID is {node!r}. "
            "Set NODE_ID back, or give this node a WAL_PATH of its own."
        )
    past = str(known.get("epoch", header.epoch))
    if past != header.epoch and closed_segments(os.path.dirname(wal_path), past):
        raise LogDamaged(wal_path, 0, f"the header names epoch {header.epoch}, the closed segments are of {past}")
    doubt = _doubt(wal_path, header, known, index_path)
    return Identity(node, begin_epoch(wal_path), doubt) if doubt else Identity(node, header.epoch)


def begin_epoch(wal_path: str) -> str:
    """Close the log and go on in a new epoch, which continues the old one's sequence and chain."""
    header, last, _ = tail(wal_path)
    _forget_state(os.path.dirname(wal_path))  # from here on a start that follows a crash begins an epoch too
    for segment in segments(wal_path, header.epoch):
        _retire(wal_path, header, segment.path)
        failpoints.hit("epoch-retiring")
    return _succeed(wal_path, header, last)


def _succeed(wal_path: str, header: Header, last: Line | None) -> str:
    """An empty log in a new epoch behind `last`, the last record of the epoch of `header`."""
    sequence, chain = (last.record.sequence, last.chain) if last else (header.first - 1, header.chain)
    epoch = new_epoch()
    successor = Header(header.node, epoch, sequence + 1, epoch_chain(epoch, chain), header.epoch, sequence)
    ActiveSegment.create(wal_path, successor).close()
    failpoints.hit("epoch-created")
    return _write_state(wal_path, header.node, epoch, sequence)


def _first_or_next(wal_path: str, node: str) -> Identity:
    """The epoch of a node without an active log: its first, or the one after the newest that was retired."""
    place = os.path.join(os.path.dirname(wal_path), "peers", node)
    retired = sorted(name.removesuffix(".log") for name in _listed(place) if name.endswith(".log") and "-" not in name)
    if not retired:
        epoch = new_epoch()
        ActiveSegment.create(wal_path, Header(node, epoch, 1, epoch_chain(epoch, NO_CHAIN))).close()
        failpoints.hit("epoch-created")
        return Identity(node, _write_state(wal_path, node, epoch, 0), "the log is new")
    path = os.path.join(place, f"{retired[-1]}.log")
    header, last = last_line(Segment(path, retired[-1], 0))
    return Identity(node, _succeed(wal_path, header, last), "the log is missing, an earlier one of this node is there")


def _retire(wal_path: str, header: Header, path: str) -> None:
    """A segment of a past epoch moves to where copies of logs lie: from now on it is one."""
    place = os.path.join(os.path.dirname(wal_path), "peers", header.node)
    fsutil.make_directory(place)
    name = f"{header.epoch}.log" if path == wal_path else os.path.basename(path).removeprefix("wal-")
    target = os.path.join(place, name)
    if os.path.exists(target):  # a copy that came back from a peer: the longer one is the log, the other is kept
        path = _rename_shorter(path, target)
    if path != target:
        os.rename(path, target)
    fsutil.sync_directory(place)
    fsutil.sync_directory(os.path.dirname(wal_path))


def _rename_shorter(one: str, other: str) -> str:
    """Of two files of the same segment, move the shorter one out of the way. Returns the path of the longer one."""
    longer, shorter = sorted((one, other), key=os.path.getsize, reverse=True)
    os.rename(shorter, f"{other}.shorter-{new_epoch()}")
    return longer


def _header(wal_path: str, node: str, known_epoch: str) -> Header | None:
    """The header of the active segment, which is begun again where it was moved away; None when there is no log."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.getsize(wal_path):
            return read_header(wal_path)[0]
    epochs = {name.removeprefix("wal-").split("-")[0] for name in _listed(os.path.dirname(wal_path)) if is_closed(name)}
    epochs |= {header.epoch for _, header in moved_away(wal_path) if header.node == node}
    for epoch in sorted(epochs, key=lambda one: (one == known_epoch, one), reverse=True):
        active = resume(wal_path, node, epoch)
        if active is not None:
            active.close()
            return active.header
    with contextlib.suppress(FileNotFoundError):
        os.unlink(wal_path)  # an empty file
    return None


def _doubt(wal_path: str, header: Header, known: dict[str, object], index_path: str) -> str:
    """Why the log may not be the one that this node wrote last; "" when there is no reason to doubt."""
    sequence = _last_sequence(wal_path, header)
    noted = _noted_sequence(os.path.dirname(wal_path))
    if not known:
        return "node.json is missing"
    if known.get("identity") != _fingerprint(wal_path):
        return "the files of the log are not the ones this node wrote: they were put back from a copy"
    if known.get("epoch") != header.epoch:
        return f"the log is of epoch {header.epoch}, this node was in {known.get('epoch')}"
    if noted is not None and noted > sequence:
        return f"the log ends at {sequence}, but {noted} had been written"
    applied = _applied_sequence(index_path, header)
    if applied > sequence:
        return f"the log ends at {sequence}, but the index has applied {applied}"
    return ""


def _last_sequence(wal_path: str, header: Header) -> int:
    _, last, _ = tail(wal_path)
    return last.record.sequence if last else header.first - 1


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


def current_epoch(wal_path: str) -> str:
    """The epoch that ``node.json`` names; "" when it does not."""
    return str(_read_state(os.path.dirname(wal_path)).get("epoch", ""))


def _read_state(directory: str) -> dict[str, object]:
    try:
        with open(os.path.join(directory, _STATE), "rb") as source:
            state = json.load(source)
        with open(os.path.join(directory, _STATE + ".id"), "rb") as source:
            state["identity"] = json.load(source)
    except (FileNotFoundError, ValueError):
        return {}
    return dict(state)


def _forget_state(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, _STATE + ".id"))
        fsutil.sync_directory(directory)


def _write_state(wal_path: str, node: str, epoch: str, sequence: int) -> str:
    """`node.json`, and beside it what identifies that very file: it cannot hold its own change time."""
    directory = os.path.dirname(wal_path)
    path = os.path.join(directory, _STATE)
    fsutil.replace_file(os.path.join(directory, ".sequence"), b"%d\n" % sequence)
    failpoints.hit("epoch-numbered")
    fsutil.replace_file(path, json.dumps({"node": node, "epoch": epoch}).encode() + b"\n")
    failpoints.hit("epoch-named")
    fsutil.replace_file(path + ".id", json.dumps(_fingerprint(wal_path)).encode() + b"\n")
    return epoch


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
