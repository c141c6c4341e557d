"""Where an index that is made again begins: at the logs' beginning, or at the newest snapshot.

What neither holds any more is with the peers: the node then asks for a full copy (`ironbucket.node.resync`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ironbucket.clock import wall_ms
from ironbucket.errors import LogDamaged
from ironbucket.node import heads, resync, snapshot
from ironbucket.node.heads import LogFiles
from ironbucket.node.snapshot import set_position
from ironbucket.store import buckets, keys
from ironbucket.store.index import Index
from ironbucket.store.model import Kind
from ironbucket.store.payloads import Payloads
from ironbucket.wal.reader import Torn, tail
from ironbucket.wal.segment import read_header, segments
from ironbucket.wal.snapshot import stored

if TYPE_CHECKING:
    from ironbucket.config import Settings

log = logging.getLogger(__name__)


def begin(
    settings: Settings,
    files: LogFiles,
    index: Index,
    payloads: Payloads,
    streams: list[tuple[str, str]],
    progress: Callable[[str, int, int], None],
) -> None:
    """Before the logs are replayed into an empty index: restore what comes before their beginnings.

    Raises LogDamaged when that is lost, and there is no peer to have it from.
    """
    if any(head.sequence for head in heads.load_all(index.reader)):
        return
    missing = {
        (node, epoch): count
        for node, epoch in streams
        if (count := snapshot.missing_before(files.active_path(node, epoch), epoch))
    }
    if not missing:
        return
    reached: dict[str, int] = {}
    for path in stored(files.directory)[:1]:
        reached = _restore(index, path, payloads, progress)
    for node, epoch in streams:
        path = files.active_path(node, epoch)
        if path != settings.wal_path and _end(path) < reached.get(f"{node}/{epoch}", 0):
            drop_copy(path, epoch)  # a power loss took its end, which the snapshot holds
    lost = {place: count for place, count in missing.items() if count > reached.get("/".join(place), 0)}
    if lost:
        _give_up(settings, files, index, lost)
    noted = note_orphans(index, payloads)
    log.info("the index begins at a snapshot; %d payloads that it does not know will be freed", noted)


def _restore(index: Index, path: str, payloads: Payloads, progress: Callable[[str, int, int], None]) -> dict[str, int]:
    count = snapshot.restore(
        index, path, payloads.settle, lambda done: progress(f"restoring {os.path.basename(path)}", done, 0)
    )
    log.info("restored %d lines of %s", count, path)
    return {f"{head.node}/{head.epoch}": head.sequence for head in heads.load_all(index.reader)}


def _give_up(settings: Settings, files: LogFiles, index: Index, lost: dict[tuple[str, str], int]) -> None:
    """Go on without records that only the peers can have: copies are dropped, the own log is taken as it is."""
    (node, epoch), count = next(iter(lost.items()))
    if not settings.cluster_nodes:
        raise LogDamaged(
            files.active_path(node, epoch),
            0,
            f"the log begins after record {count}, and no snapshot holds those before",
        )
    log.warning(
        "the first %d records of %s are in no log and no snapshot here: the peers will be asked for them", count, node
    )
    resync.request(files.directory, "the logs here do not begin at their beginning, and no snapshot covers the rest")
    for node, epoch in lost:
        path = files.active_path(node, epoch)
        if path == settings.wal_path:
            header, _ = read_header(segments(path, epoch)[0].path)
            with index.transaction() as connection:
                set_position(connection, f"{node}/{epoch}", header.first - 1, header.chain)
        else:
            drop_copy(path, epoch)
            with index.transaction() as connection:
                set_position(connection, f"{node}/{epoch}", 0, "")


def _end(active: str) -> int:
    try:
        header, last, _ = tail(active)
    except (FileNotFoundError, Torn):
        return 0
    return last.record.sequence if last else header.first - 1


def drop_copy(active: str, epoch: str) -> None:
    """Remove the files of a copy of a log; the newest first, so that what a crash leaves has its beginning."""
    for segment in reversed(segments(active, epoch)):
        os.unlink(segment.path)


def note_orphans(index: Index, payloads: Payloads) -> int:
    """Have payloads freed that no entry refers to: what was freed before the snapshot is in no log any more."""
    found = []
    for bucket in payloads.buckets():
        row = buckets.load(index.reader, bucket)
        for key, version, path in payloads.settled(bucket):
            state = keys.load(index, index.reader, row.number, bucket, key) if row else ()
            if not any(one.version == version and one.kind is Kind.OBJECT for one in state):
                found.append((path, wall_ms(), 0))
    with index.transaction() as connection:
        connection.executemany("INSERT OR IGNORE INTO garbage VALUES (?, ?, ?)", found)
    return len(found)
