"""From whatever a stop left behind to a node that can be opened: repair, replay, sweep.

The index tells how far it has applied each log, so a start replays only the rest. Without an index everything is
replayed; with neither index nor log, `ironbucket.node.from_files` takes what the payloads themselves can tell.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from ironbucket import failpoints, fsutil
from ironbucket.errors import AlreadyRunning, IronBucketError, LogBehindIndex
from ironbucket.node import diverge, heads, identity, rebuild, remains
from ironbucket.node.apply import Applied, Applier, advance_clock
from ironbucket.node.heads import Head, LogFiles
from ironbucket.node.identity import Identity
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import Payloads
from ironbucket.store.uploads import UploadStore
from ironbucket.wal.reader import Line
from ironbucket.wal.segment import read_header

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)

#: called with (what is being done, how many steps are done, how many there are or 0)
Progress = Callable[[str, int, int], None]

_CHUNK = 2000  # records applied in one transaction of the index
_LONGEST_INDEX_LOG = 64 << 20  # bytes of SQLite's own log before they are moved into the index file


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(slots=True)
class Prepared:
    """What a start, or a recovery, found and did."""

    identity: Identity
    replayed: int = 0
    settled: int = 0
    removed: int = 0
    rebuilt: bool = False  # the index was made anew
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

    An index that is missing, or has applied what the log does not hold, is made anew from the log. Raises LogDamaged,
    LogBehindIndex (the log is gone), IndexDamaged, ConfigurationError.
    """
    layout = Layout(settings.storage_path)
    prepared = begin(settings, layout)
    index = Index(layout.index, durable=not settings.wal_enabled)
    try:
        prepared.replayed = _replay(settings, index, progress)
    except LogBehindIndex:
        index.close()
        log.warning(
            "the index has applied records that the log does not hold: making it anew from the log. "
            "What only the index knew is given up; payloads stay on disk"
        )
        prepared.rebuilt = True
        prepared.replayed = _rebuild(settings, layout, progress)
        index = Index(layout.index, durable=not settings.wal_enabled)
    try:
        _sweep(layout, index, prepared)
    finally:
        index.close()
    return prepared


def identity_of(settings: Settings) -> Identity:
    """The epoch that `prepare` settled."""
    if settings.wal_enabled:
        header, _ = read_header(settings.wal_path)
        return Identity(settings.node_id, header.epoch)
    return identity.settle(settings.wal_path, settings.node_id, "", logged=False)


def recover(
    settings: Settings, *, progress: Progress = quiet, new_epoch: bool = False, after: int | None = None
) -> Prepared:
    """Make the index anew from the log, in a new epoch if wanted. The old one serves until the new one is whole.

    With `after` the records behind that one move into the new epoch: others hold the numbers that they have.

    Raises AlreadyRunning, LogDamaged, LogBehindIndex (the index holds what no log holds).
    """
    with running_alone(settings):
        layout = Layout(settings.storage_path)
        moved = None
        if new_epoch and (after is not None or diverge.is_unfinished(os.path.dirname(settings.wal_path))):
            moved = diverge.divert(settings.wal_path, after or 0)
        prepared = begin(settings, layout)
        if moved is not None:
            why = f"{moved} records of the one before had numbers that were given out already"
            prepared.identity = Identity(settings.node_id, prepared.identity.epoch, why)
        elif new_epoch and settings.wal_enabled and not prepared.identity.began:
            epoch = identity.begin_epoch(settings.wal_path)
            prepared.identity = Identity(settings.node_id, epoch, "asked for")
        prepared.replayed = _rebuild(settings, layout, progress)
        prepared.rebuilt = True
        with contextlib.closing(Index(layout.index, durable=not settings.wal_enabled)) as index:
            _sweep(layout, index, prepared)
        return prepared


def begin(settings: Settings, layout: Layout) -> Prepared:
    """What comes before the index: remnants of a crash, doubts about the log, the epoch."""
    fsutil.make_directory(layout.system)
    fsutil.make_directory(os.path.dirname(settings.wal_path))
    if os.path.exists(unfinished_mark(layout)):
        raise IronBucketError(
            "A recovery from payload files was cut short. Run 'ironbucket recover --from-files' again."
        )
    if diverge.is_unfinished(os.path.dirname(settings.wal_path)):
        raise IronBucketError("The beginning of a new epoch was cut short. Run 'ironbucket recover --new-epoch' again.")
    for directory in (os.path.dirname(settings.wal_path), layout.system):
        for name in os.listdir(directory):
            if name.endswith(".tmp"):  # `fsutil.replace_file` was cut short
                os.unlink(os.path.join(directory, name))
    _remove_index(layout.index + ".new")
    set_aside = []
    if kept := remains.cut_torn_end(settings, layout.index):
        log.warning("the log's last write was cut short; its remnant is kept in %s", kept)
        set_aside.append(kept)
    remains.refuse_loss(settings, layout)
    who = identity.settle(settings.wal_path, settings.node_id, layout.index, logged=settings.wal_enabled)
    if who.began:
        log.warning("node %s begins epoch %s: %s", who.node, who.epoch, who.began)
    return Prepared(who, set_aside=set_aside)


def unfinished_mark(layout: Layout) -> str:
    """A file that is there while `from_files` works."""
    return os.path.join(layout.system, "recovering-from-files")


def _sweep(layout: Layout, index: Index, prepared: Prepared) -> None:
    payloads = Payloads(layout)
    settled = _settle_uploads(index, payloads)
    more, removed = payloads.sweep(lambda *place: _wanted(index, *place))
    prepared.settled, prepared.removed = settled + more, removed
    if prepared.replayed or prepared.settled or removed:
        log.info(
            "replayed %d records, settled %d payloads, removed %d unfinished ones",
            prepared.replayed,
            prepared.settled,
            removed,
        )


def _settle_uploads(index: Index, payloads: Payloads) -> int:
    """Multipart objects that the index knows, and whose parts still lie under the upload."""
    store, settled = UploadStore(payloads.layout), 0
    for bucket in payloads.buckets():
        for upload in store.scan(bucket):
            for entry in _entries(index, bucket, upload.key):
                if entry.kind is Kind.OBJECT and entry.attributes.get("upload") == upload.upload_id:
                    settled += payloads.settle(bucket, upload.key, entry.version, upload.upload_id) is not None
    return settled


def _rebuild(settings: Settings, layout: Layout, progress: Progress) -> int:
    """A new index beside the old one, from the logs alone; it takes the old one's place when it is whole."""
    for head in remains.applied(layout.index):
        if head.node == settings.node_id and head.sequence and head.epoch.endswith(identity.UNLOGGED):
            raise LogBehindIndex(
                f"The index holds {head.sequence} records of a time when the log was switched off, which no log has."
                " 'ironbucket recover --from-files' makes both anew from the payloads."
            )
    path = layout.index + ".new"
    index = Index(path, durable=not settings.wal_enabled)
    try:
        replayed = _replay(settings, index, progress)
        index.checkpoint()
    except BaseException:
        index.close()
        _remove_index(path)
        raise
    index.close()
    failpoints.hit("index-rebuilt")
    _remove_index(layout.index)
    failpoints.hit("index-removed")
    os.rename(path, layout.index)
    fsutil.sync_directory(layout.system)
    return replayed


def _remove_index(path: str) -> None:
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _replay(settings: Settings, index: Index, progress: Progress) -> int:
    """Apply what the logs hold beyond what the index has applied. Raises LogDamaged, LogBehindIndex."""
    payloads = Payloads(Layout(settings.storage_path))
    own = read_header(settings.wal_path)[0].epoch if os.path.exists(settings.wal_path) else ""
    files = LogFiles(settings.wal_path, settings.node_id, own)
    applier = Applier(index, payloads)
    replayed = 0
    try:
        streams = remains.streams(settings)
        rebuild.begin(settings, files, index, payloads, streams, progress)
        for node, epoch in streams:
            with index.transaction() as connection:
                head = files.origin(heads.load(connection, node, epoch))
            path = files.active_path(node, epoch)
            if path != settings.wal_path and os.path.exists(path):
                known = read_header(path)[0].first == head.segment
                files.cut_torn_end(path, head.offset if known and settings.wal_flush_interval == 0 else 0)
            lines = files.unapplied(head)
            while chunk := list(islice(lines, _CHUNK)):
                _apply(index, applier, head, chunk)
                head = head.after(chunk[-1].record.sequence, chunk[-1].chain, chunk[-1].end)
                replayed += len(chunk)
                index.checkpoint(beyond=_LONGEST_INDEX_LOG)
                progress(f"replaying the log of {node}", replayed, 0)
            _note_position(index, files, head)
    finally:
        files.close()
    return replayed


def _apply(index: Index, applier: Applier, head: Head, chunk: list[Line]) -> None:
    applied = Applied()
    with index.transaction() as connection:
        for line in chunk:
            applier.apply(connection, line.record, applied)
        for settle in applied.settle:
            settle()
        failpoints.hit("replay-settled")
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


def _wanted(index: Index, bucket: str, key: str, version: str) -> bool:
    """Whether the index knows a live version by this id: its staged payload is to be settled."""
    return any(one.version == version and one.kind is Kind.OBJECT for one in _entries(index, bucket, key))


def _entries(index: Index, bucket: str, key: str) -> keys.State:
    row = buckets.load(index.reader, bucket)
    return keys.load(index, index.reader, row.number, bucket, key) if row else ()
