"""Verify every line of every log under a WAL_PATH, and cut what is damaged off, keeping all of it.

Reading stops at damage (`ironbucket.wal.reader`); here it goes on behind it, to tell what else is there. A repair never
throws bytes away: a torn end goes to ``<file>.torn-<time>-<offset>``; from damage in the middle on everything goes to
``<file>.damaged-<time>-<offset>``, the lines behind it too, because without their predecessors they prove nothing.
etcd's ``wal.Repair`` has the same habit.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from ironbucket import fsutil
from ironbucket.errors import LogDamaged
from ironbucket.wal.reader import chain_at, last_line
from ironbucket.wal.record import NO_CHAIN, InvalidRecord, Record, decode, epoch_chain
from ironbucket.wal.segment import Header, Segment, closed_segments, is_closed, open_segment, read_header, segments

#: called with (what is being done, bytes done, bytes in all)
Progress = Callable[[str, int, int], None]

#: the epoch of a log whose header is damaged, where nothing else tells it
UNKNOWN = "unknown"

_Place = tuple[int, str]  # sequence and chain hash of a record: what the next one continues

_STEP = 1 << 20  # bytes between two calls of a Progress
_LONGEST = 64 << 20  # bytes; no line is longer, so what is has lost its LF


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(slots=True)
class Damage:
    """A place in a segment that does not hold what was written there."""

    path: str
    offset: int  # in bytes; of a compressed segment: in what it decompresses to
    reason: str
    sequence: int  # of the record that has to be there


@dataclass(slots=True)
class Stream:
    """What was found of the log of one epoch of one node."""

    node: str
    epoch: str
    path: str  # of the active segment
    own: bool  # of this node, in the epoch that it writes
    first: int = 0  # the oldest record that is kept; 0 when there is none
    last: int = 0
    records: int = 0
    segments: int = 0
    size: int = 0  # bytes
    damages: list[Damage] = field(default_factory=list)
    torn: Damage | None = None  # the remnant of an append that was cut short: the normal trace of a crash
    behind: int = 0  # whole records behind the first damage


@dataclass(slots=True)
class Cut:
    """What a repair took out of a log, and where it is kept."""

    stream: Stream
    kept: str
    offset: int
    sequences: tuple[int, int] | None  # of the whole records in it: first and last
    records: int


@dataclass(slots=True)
class Report:
    """All logs, and after a repair what was done to them."""

    streams: list[Stream] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)  # segments whose header was written again

    @property
    def damages(self) -> list[Damage]:
        return [damage for stream in self.streams for damage in stream.damages]

    @property
    def torn(self) -> list[Damage]:
        return [stream.torn for stream in self.streams if stream.torn]


def streams(wal_path: str) -> list[Stream]:
    """Every log under a WAL_PATH: copies by node and epoch, this node's own last."""
    directory = os.path.dirname(wal_path)
    found = []
    peers = os.path.join(directory, "peers")
    for node in sorted(_listed(peers)):
        epochs = {name.split("-")[0].removesuffix(".log") for name in _listed(f"{peers}/{node}") if _is_segment(name)}
        found += [Stream(node, epoch, f"{peers}/{node}/{epoch}.log", own=False) for epoch in sorted(epochs)]
    node, epoch = _own(wal_path)
    if epoch:
        found.append(Stream(node, epoch, wal_path, own=True))
    return found


def verify(wal_path: str, progress: Progress = quiet) -> Report:
    """Read every line of every log; check its number and its chain hash, over the borders of segments too."""
    report = Report(streams(wal_path))
    total = sum(os.path.getsize(one.path) for stream in report.streams for one in _files(stream))
    done = 0
    for stream in report.streams:
        for place in _check(stream):
            progress(f"verifying the log of {stream.node}", min(done + stream.size + place, total), total)
        done += stream.size
    return report


def repair(wal_path: str, progress: Progress = quiet) -> Report:
    """Cut every log where its damage begins. The caller holds the node (nothing else writes).

    A log of this node that has lost records goes on in a new epoch: ``node.json`` is removed, which the next start
    takes for a reason to begin one. That start also makes the index anew where it knows more than the log.
    """
    report = verify(wal_path, progress)
    restored = [stream.damages[0].path for stream in report.streams if _restore_header(wal_path, stream)]
    if restored:
        report = verify(wal_path, progress)
        report.restored = restored
    for stream in report.streams:
        if stream.damages:
            report.cuts += _cut(stream)
            if stream.own:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(os.path.dirname(wal_path), "node.json"))
        elif stream.torn:
            kept = set_aside(stream.torn.path, stream.torn.offset, "torn")
            report.cuts.append(Cut(stream, kept, stream.torn.offset, None, 0))
    return report


def set_aside(path: str, offset: int, why: str) -> str:
    """Move the bytes from `offset` on out of a file, durably; returns where they are kept."""
    kept = f"{path}.{why}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{offset}"
    with open(path, "r+b") as log, open(kept, "wb") as copy:
        log.seek(offset)
        shutil.copyfileobj(log, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())
        fsutil.sync_directory(os.path.dirname(path))
        log.truncate(offset)
        os.fsync(log.fileno())
    return kept


# -- looking ----------------------------------------------------------------------------------------------------------


def _check(stream: Stream) -> Iterator[int]:
    """Read a stream from end to end and note in it what is found. Yields the bytes read, now and then."""
    files = _files(stream)
    before: _Place | None = None
    for segment in files:
        stream.segments += 1
        try:
            header, _ = read_header(segment.path)
            problem = _header_problem(stream, segment, header, before)
        except LogDamaged as damaged:
            problem = damaged.reason
        if problem:
            stream.damages.append(Damage(segment.path, 0, problem, before[0] + 1 if before else segment.first))
            before = None
        else:
            before = (header.first - 1, header.chain)
        try:
            before = yield from _check_lines(stream, segment, before, last=segment is files[-1])
        except LogDamaged as damaged:  # it does not decompress
            stream.damages.append(Damage(segment.path, damaged.offset, damaged.reason, segment.first))
            before = None
        stream.size += os.path.getsize(segment.path)


def _header_problem(stream: Stream, segment: Segment, header: Header, before: _Place | None) -> str:
    if (header.node, header.epoch) != (stream.node, stream.epoch):
        return f"the header names {header.node}/{header.epoch}, this is the log of {stream.node}/{stream.epoch}"
    if is_closed(segment.path) and header.first != segment.first:
        return f"the header begins at {header.first}, the file's name says {segment.first}"
    if before is not None and header.first != before[0] + 1:
        return f"records {before[0] + 1} to {header.first - 1} are missing"
    if before is not None and header.chain != before[1]:
        return "the header does not continue the segment before"
    if before is None and header.parent_epoch:
        parent = os.path.join(os.path.dirname(stream.path), "peers", header.node) if stream.own else ""
        parent = os.path.join(parent or os.path.dirname(stream.path), f"{header.parent_epoch}.log")
        with contextlib.suppress(LogDamaged):  # that log's own damage
            chain = chain_at(parent, header.parent_epoch, header.parent_sequence)
            if chain is not None and header.chain != epoch_chain(header.epoch, chain):
                return f"the header does not continue {header.parent_epoch}/{header.parent_sequence}"
    elif before is None and header.first == 1 and header.chain != epoch_chain(header.epoch, NO_CHAIN):
        return "the header's chain is not that of its epoch's beginning"
    return ""


def _check_lines(
    stream: Stream, segment: Segment, before: _Place | None, *, last: bool
) -> Generator[int, None, _Place | None]:
    """The lines behind a segment's header. Returns the place after the last one, None when that is damaged."""
    unread: Damage | None = None  # lines that are no records, and no record has followed yet: perhaps a torn end
    told = 0
    with open_segment(segment.path) as source:
        offset = len(source.readline(_LONGEST))
        while raw := source.readline(_LONGEST):
            sequence = before[0] + 1 if before else 0
            record, chain, reason = _judge(raw, stream, before)
            if record is None:
                unread = unread or Damage(segment.path, offset, reason, sequence)
                before = None
            else:
                damage = unread or (Damage(segment.path, offset, reason, sequence) if reason else None)
                if damage is not None:
                    stream.damages.append(damage)
                unread = None
                stream.first = stream.first or record.sequence
                stream.last = record.sequence
                stream.records += 1
                stream.behind += bool(stream.damages)
                before = (record.sequence, chain)
            offset += len(raw)
            if offset - told >= _STEP:
                told = offset
                yield offset
    if unread is not None and last and not is_closed(segment.path):
        stream.torn = unread
    elif unread is not None:
        stream.damages.append(unread)
    return before


def _judge(raw: bytes, stream: Stream, before: _Place | None) -> tuple[Record | None, str, str]:
    """(record or None, its chain hash, what is wrong with it)."""
    if not raw.endswith(b"\n"):
        return None, "", "no line end"
    try:
        record, chain = decode(raw[:-1], None, stream.epoch)
    except InvalidRecord as error:
        return None, "", str(error)
    if record.node != stream.node:
        return None, "", f"a record of {record.node}"
    if before is None:
        return record, chain, ""
    if record.sequence != before[0] + 1:
        return record, chain, f"record {record.sequence} where {before[0] + 1} has to come"
    try:
        decode(raw[:-1], before[1])
    except InvalidRecord as error:
        return record, chain, str(error)
    return record, chain, ""


def _files(stream: Stream) -> list[Segment]:
    """The segments of a stream; the active one also when its header cannot be read."""
    try:
        files = segments(stream.path, stream.epoch)
    except LogDamaged:
        files = closed_segments(os.path.dirname(stream.path), stream.epoch)
    there = os.path.exists(stream.path) and os.path.getsize(stream.path) > 0
    if there and (not files or files[-1].path != stream.path):
        files.append(Segment(stream.path, stream.epoch, 0))
    return files


def _own(wal_path: str) -> tuple[str, str]:
    """(node, epoch) of this node's own log, from whatever tells it; ("", "") when there is none."""
    node, epoch = _state(wal_path)
    with contextlib.suppress(FileNotFoundError, LogDamaged):
        header, _ = read_header(wal_path)
        interrupted = epoch == header.parent_epoch  # a new epoch has begun and node.json does not say so yet
        if interrupted or not epoch or not _is_continued(wal_path, epoch, header):
            return header.node, header.epoch
    if epoch:
        return node, epoch
    directory = os.path.dirname(wal_path)
    for name in sorted(filter(is_closed, _listed(directory)), reverse=True):
        with contextlib.suppress(LogDamaged):
            node = read_header(os.path.join(directory, name))[0].node
        return node, name.removeprefix("wal-").split("-")[0]
    return ("", UNKNOWN) if os.path.exists(wal_path) and os.path.getsize(wal_path) else ("", "")


def _is_continued(wal_path: str, epoch: str, header: Header) -> bool:
    """Whether the active segment has to be of `epoch`, as node.json says, whatever its header says."""
    return epoch == header.epoch or bool(closed_segments(os.path.dirname(wal_path), epoch))


def _state(wal_path: str) -> tuple[str, str]:
    """(node, epoch) as ``node.json`` has them."""
    try:
        with open(os.path.join(os.path.dirname(wal_path), "node.json"), "rb") as source:
            state = json.load(source)
        return str(state["node"]), str(state["epoch"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "", ""


def _is_segment(name: str) -> bool:
    return is_closed(name) or (name.endswith(".log") and name.removesuffix(".log").isalnum())


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


# -- cutting ----------------------------------------------------------------------------------------------------------


def _cut(stream: Stream) -> list[Cut]:
    """Take the first damage of a stream and all that follows it out of the log."""
    damage = stream.damages[0]
    files = [segment.path for segment in _files(stream)]
    cuts = []
    for path in files[files.index(damage.path) :]:
        offset = damage.offset if path == damage.path else 0
        sequences, count = _whole_records(path, offset, stream)
        if offset == 0:
            kept = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-0"
            os.rename(path, kept)
            fsutil.sync_directory(os.path.dirname(path))
        elif path.endswith(".zst"):
            kept = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{offset}"
            with open_segment(path) as source:
                fsutil.replace_file(path.removesuffix(".zst"), source.read(offset))
            os.rename(path, kept)
            fsutil.sync_directory(os.path.dirname(path))
        else:
            kept = set_aside(path, offset, "damaged")
        cuts.append(Cut(stream, kept, offset, sequences, count))
    return cuts


def _whole_records(path: str, offset: int, stream: Stream) -> tuple[tuple[int, int] | None, int]:
    found = []
    with contextlib.suppress(LogDamaged), open_segment(path) as source:
        source.read(offset)
        while raw := source.readline(_LONGEST):
            record, _, _ = _judge(raw, stream, None)
            if record is not None:
                found.append(record.sequence)
    return ((min(found), max(found)), len(found)) if found else (None, 0)


def _restore_header(wal_path: str, stream: Stream) -> bool:
    """Write the header of a segment again when only that is damaged: what it says follows from what is around it."""
    if not stream.damages or stream.damages[0].path.endswith(".zst"):
        return False
    path = stream.damages[0].path
    with open(path, "rb") as source:
        start = len(source.readline(_LONGEST))
        first = source.readline(_LONGEST)
        if stream.damages[0].offset not in (0, start):
            return False
        for epoch in (stream.epoch, _state(wal_path)[1] if stream.own else ""):
            header = _proved_header(path, epoch, first)
            if header is not None:
                break
        else:
            return False
        source.seek(start)
        restored = f"{path}.restored.tmp"
        with open(restored, "wb") as target:
            target.write(header.encode())
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
    os.link(path, f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-0")
    os.rename(restored, path)
    fsutil.sync_directory(os.path.dirname(path))
    return True


def _proved_header(path: str, epoch: str, first: bytes) -> Header | None:
    """The header that a segment of `epoch` has if its first line is `first`; None when the chain does not prove it."""
    try:
        record, _ = decode(first.removesuffix(b"\n"), None)
        chain = epoch_chain(epoch, NO_CHAIN)
        if record.sequence > 1:
            earlier = [one for one in closed_segments(os.path.dirname(path), epoch) if one.first < record.sequence]
            _, last = last_line(earlier[-1]) if earlier else (None, None)
            if last is None or last.record.sequence != record.sequence - 1:
                return None
            chain = last.chain
        decode(first.removesuffix(b"\n"), chain)
    except (InvalidRecord, LogDamaged):
        return None
    return Header(record.node, epoch, record.sequence, chain)
