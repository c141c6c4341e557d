"""From whatever a stop left behind to a node that can be opened: repair, replay, sweep.

The index tells how far it has applied each log, so a start replays only the rest. Without an index everything is
replayed; with neither index nor log, `from_files` takes what the payloads themselves can tell.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ironbucket import fsutil
from ironbucket.errors import AlreadyRunning
from ironbucket.node import heads, identity, rebuild
from ironbucket.node.apply import Applied, Applier, advance_clock
from ironbucket.node.heads import Head, LogFiles
from ironbucket.node.identity import Identity
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import Payloads
from ironbucket.wal.reader import Line
from ironbucket.wal.segment import read_header

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)

#: called with (what is being done, how many steps are done, how many there are or 0)
Progress = Callable[[str, int, int], None]

_CHUNK = 2000  # records applied in one transaction of the index


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(slots=True)
class Prepared:
    """What a start, or a recovery, found and did."""

    identity: Identity
    replayed: int = 0
    settled: int = 0
    removed: int = 0
    set_aside: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@contextlib.contextmanager
def running_alone(settings: Settings) -> Iterator[None]:
    """Hold the node: one `serve` or `recover` at a time. Raises AlreadyRunning."""
    from filelock import FileLock, Timeout

    directory = os.path.dirname(settings.wal_path)
    fsutil.make_directory(directory)
    lock = FileLock(os.path.join(directory, "node.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise AlreadyRunning(
            f"Another process serves or recovers this node (it holds {lock.lock_file}). Stop it first."
        ) from None
    try:
        yield
    finally:
        lock.release()


def prepare(settings: Settings, progress: Progress = quiet) -> Prepared:
    """Make a node ready to be opened. The caller holds it (`running_alone`).

    Raises LogDamaged, LogBehindIndex, ConfigurationError.
    """
    layout = Layout(settings.storage_path)
    fsutil.make_directory(layout.system)
    set_aside = []
    if settings.wal_enabled and os.path.exists(settings.wal_path) and os.path.getsize(settings.wal_path):
        files = LogFiles(settings.wal_path, settings.node_id, read_header(settings.wal_path)[0].epoch)
        if kept := files.cut_torn_end(settings.wal_path):
            log.warning("the log's last write was cut short; its remnant is kept in %s", kept)
            set_aside.append(kept)
    who = identity.settle(settings.wal_path, settings.node_id, layout.index, logged=settings.wal_enabled)
    if who.began:
        log.warning("node %s begins epoch %s: %s", who.node, who.epoch, who.began)
    index = Index(layout.index, durable=not settings.wal_enabled)
    try:
        payloads = Payloads(layout)
        replayed = _replay(settings, who, index, payloads, progress) if settings.wal_enabled else 0
        settled, removed = payloads.sweep(lambda *place: _wanted(index, *place))
    finally:
        index.close()
    if replayed or settled or removed:
        log.info("replayed %d records, settled %d payloads, removed %d unfinished ones", replayed, settled, removed)
    return Prepared(who, replayed, settled, removed, set_aside)


def identity_of(settings: Settings) -> Identity:
    """The epoch that `prepare` settled."""
    if settings.wal_enabled:
        header, _ = read_header(settings.wal_path)
        return Identity(settings.node_id, header.epoch)
    return identity.settle(settings.wal_path, settings.node_id, "", logged=False)


def recover(settings: Settings, *, progress: Progress = quiet) -> Prepared:
    """Throw the index away and rebuild it from the log. Raises AlreadyRunning, LogDamaged."""
    with running_alone(settings):
        layout = Layout(settings.storage_path)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(layout.index + suffix)
        return prepare(settings, progress)


def _replay(settings: Settings, who: Identity, index: Index, payloads: Payloads, progress: Progress) -> int:
    """Apply what the logs hold beyond what the index has applied."""
    files = LogFiles(settings.wal_path, who.node, who.epoch)
    applier = Applier(index, payloads)
    replayed = 0
    rebuild.begin(settings, files, index, payloads, _streams(settings.wal_path, who), progress)
    for node, epoch in _streams(settings.wal_path, who):
        with index.transaction() as connection:
            head = heads.load(connection, node, epoch)
        path = files.active_path(node, epoch)
        if (node, epoch) != (who.node, who.epoch):
            files.cut_torn_end(path)
        lines = files.unapplied(head)
        while chunk := _take(lines, _CHUNK):
            _apply(index, applier, head, chunk)
            head = head.after(chunk[-1].record.sequence, chunk[-1].chain, chunk[-1].end)
            replayed += len(chunk)
            progress(f"replaying the log of {node}", replayed, 0)
        _note_position(index, files, head)
    files.close()
    return replayed


def _apply(index: Index, applier: Applier, head: Head, chunk: list[Line]) -> None:
    applied = Applied()
    with index.transaction() as connection:
        for line in chunk:
            applier.apply(connection, line.record, applied)
        for settle in applied.settle:
            settle()
        advance_clock(connection, applied.clock)
        heads.save(connection, head.after(chunk[-1].record.sequence, chunk[-1].chain, chunk[-1].end))


def _note_position(index: Index, files: LogFiles, head: Head) -> None:
    active = files.segment(head)
    if active is None:
        return
    with index.transaction() as connection:
        chain = active.header.chain if head.sequence + 1 == active.header.first else head.chain
        heads.save(
            connection,
            replace(
                head,
                sequence=max(head.sequence, active.header.first - 1),
                chain=chain,
                segment=active.header.first,
                offset=active.size(),
            ),
        )


def _streams(wal_path: str, who: Identity) -> list[tuple[str, str]]:
    """Every (node, epoch) that has a log here, copies first: this node's own records may answer to theirs."""
    found = []
    peers = os.path.join(os.path.dirname(wal_path), "peers")
    for node in sorted(os.listdir(peers)) if os.path.isdir(peers) else []:
        epochs = {name.split("-")[0].split(".")[0] for name in os.listdir(os.path.join(peers, node)) if ".log" in name}
        found += [(node, epoch) for epoch in sorted(epochs)]
    return [*found, (who.node, who.epoch)]


def _take(lines: Iterator[Line], count: int) -> list[Line]:
    chunk = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == count:
            break
    return chunk


def _wanted(index: Index, bucket: str, key: str, version: str) -> bool:
    """Whether the index knows a live version by this id: its staged payload is to be settled."""
    connection = index.reader
    row = buckets.load(connection, bucket)
    if row is None:
        return False
    state = keys.load(index, connection, row.number, bucket, key)
    return any(one.version == version and one.kind is Kind.OBJECT for one in state)
