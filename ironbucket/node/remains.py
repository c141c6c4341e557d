"""What a stop has left of a node: how log, index and payloads compare before anything is begun or repaired."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from ironbucket.errors import LogBehindIndex
from ironbucket.node import heads, identity
from ironbucket.node.heads import Head, LogFiles
from ironbucket.store.paths import Layout
from ironbucket.store.payloads import Payloads
from ironbucket.wal import repair
from ironbucket.wal.segment import read_header, segments
from ironbucket.wal.stream import moved_away

if TYPE_CHECKING:
    from ironbucket.config import Settings


def streams(settings: Settings) -> list[tuple[str, str]]:
    """Every (node, epoch) that has a log here, copies first: this node's own records may answer to theirs."""
    found = repair.streams(settings.wal_path)
    return [(stream.node, stream.epoch) for stream in found if segments(stream.path, stream.epoch)]


def cut_torn_end(settings: Settings, index_path: str) -> str | None:
    """Cut the remnant of an append off this node's log. Returns where it is kept. Raises LogDamaged."""
    if not os.path.exists(settings.wal_path) or not os.path.getsize(settings.wal_path):
        return None
    header, _ = read_header(settings.wal_path)
    # With every write synced, what the index has applied was whole, and is damaged now. With delayed flushes the
    # index may have reached the disk before the log: then a torn end in what it knows is what a power loss leaves.
    whole = 0
    if settings.wal_flush_interval == 0:
        for head in applied(index_path):
            if (head.node, head.epoch, head.segment) == (header.node, header.epoch, header.first):
                whole = head.offset
    return LogFiles(settings.wal_path, settings.node_id, header.epoch).cut_torn_end(settings.wal_path, whole)


def applied(index_path: str) -> list[Head]:
    """How far the index has applied each log; [] when it cannot be read (opening it says what is wrong)."""
    if not os.path.exists(index_path):
        return []
    with contextlib.closing(sqlite3.connect(index_path)) as connection:
        try:
            return heads.load_all(connection)
        except sqlite3.Error:
            return []


def refuse_loss(settings: Settings, layout: Layout) -> None:
    """Raises LogBehindIndex rather than begin an empty log, or an empty index, where there was a full one."""
    remedy = "Put it back, or run 'ironbucket recover --from-files' to make both anew from the payloads."
    own = [head for head in applied(layout.index) if head.node == settings.node_id and head.sequence]
    newest = max(own, key=lambda head: head.epoch, default=None)
    if newest and settings.wal_enabled and not _is_kept(settings, newest):
        raise LogBehindIndex(
            f"The log of epoch {newest.epoch} is gone; the index has applied {newest.sequence} records of it. {remedy}"
        )
    if not os.path.exists(layout.index):
        if identity.current_epoch(settings.wal_path).endswith(identity.UNLOGGED):
            raise LogBehindIndex(f"The index {layout.index} is gone, and the log was switched off. {remedy}")
        payloads = Payloads(layout)
        stored = any(True for bucket in payloads.buckets() for _ in payloads.settled(bucket))
        if stored and not streams(settings) and not moved_away(settings.wal_path):
            raise LogBehindIndex(f"Neither the log nor the index is there, but payloads are. {remedy}")


def _is_kept(settings: Settings, head: Head) -> bool:
    """Whether a log of this node, or its newest part, is there."""
    if head.epoch.endswith(identity.UNLOGGED):
        return True  # it never had a log
    peers = os.path.join(os.path.dirname(settings.wal_path), "peers", head.node, f"{head.epoch}.log")
    return bool(
        segments(settings.wal_path, head.epoch)
        or segments(peers, head.epoch)
        or any(header.epoch == head.epoch for _, header in moved_away(settings.wal_path))
    )
