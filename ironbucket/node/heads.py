"""How far each log has been applied: the rows of `streams`, and the files that they speak of.

A head is a position: (sequence, chain hash) of the last record that the index knows, and where its line ends.
All heads together are the node's vector.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ironbucket.errors import LogBehindIndex, LogDamaged
from ironbucket.node.apply import stream_number
from ironbucket.wal.reader import Line, Torn, chain_at, read_stream, tail
from ironbucket.wal.record import NO_CHAIN
from ironbucket.wal.repair import set_aside
from ironbucket.wal.segment import Header, read_header, segments
from ironbucket.wal.stream import ActiveSegment, resume


@dataclass(frozen=True, slots=True)
class Head:
    """The applied end of one stream."""

    number: int  # row of `streams`
    node: str
    epoch: str
    sequence: int
    chain: str
    segment: int  # first sequence of the active segment
    offset: int  # end of the last applied line in it

    def after(self, sequence: int, chain: str, offset: int) -> Head:
        return replace(self, sequence=sequence, chain=chain, offset=offset)


def load(connection: sqlite3.Connection, node: str, epoch: str) -> Head:
    """The head of a stream, which begins to exist if it is new."""
    row = connection.execute(
        "SELECT id, sequence, chain, segment, offset FROM streams WHERE node = ? AND epoch = ?", (node, epoch)
    ).fetchone()
    if row is None:
        row = (stream_number(connection, node, epoch), 0, "", 0, 0)
    return Head(row[0], node, epoch, row[1], row[2] or NO_CHAIN, row[3], row[4])


def load_all(connection: sqlite3.Connection) -> list[Head]:
    return [
        Head(row[0], row[1], row[2], row[3], row[4] or NO_CHAIN, row[5], row[6])
        for row in connection.execute(
            "SELECT id, node, epoch, sequence, chain, segment, offset FROM streams ORDER BY node, epoch"
        )
    ]


def save(connection: sqlite3.Connection, head: Head) -> None:
    connection.execute(
        "UPDATE streams SET sequence = ?, chain = ?, segment = ?, offset = ? WHERE id = ?",
        (head.sequence, head.chain, head.segment, head.offset, head.number),
    )


class LogFiles:
    """Where the logs of all nodes lie, and their open active segments. One per process; used under the log's lock."""

    def __init__(self, wal_path: str, node: str, epoch: str) -> None:
        """`epoch` is the one that this node writes in."""
        self.wal_path, self.node, self.own_epoch = wal_path, node, epoch
        self.directory = os.path.dirname(wal_path)
        self._open: dict[tuple[str, str], ActiveSegment] = {}

    def active_path(self, node: str, epoch: str) -> str:
        """The active segment of this node's log, or of a copy: of another's log, or of a past epoch of this node."""
        if node == self.node and epoch == self.own_epoch:
            return self.wal_path
        return os.path.join(self.directory, "peers", node, f"{epoch}.log")

    def segment(self, head: Head) -> ActiveSegment | None:
        """The open active segment of a stream, reopened when another process has rotated it; None if there is none."""
        place = (head.node, head.epoch)
        path = self.active_path(*place)
        active = self._open.get(place)
        if active is not None:
            if active.header.first == head.segment and active.is_current():
                return active
            active.close()
            del self._open[place]
        try:
            if os.path.getsize(path) == 0:
                return None  # moved away by hand, with an empty file in its place
            active = ActiveSegment.open(path)
        except FileNotFoundError:
            return None
        self._open[place] = active
        return active

    def begin(self, head: Head, header: Header) -> ActiveSegment:
        """The first segment of a stream."""
        active = ActiveSegment.create(self.active_path(head.node, head.epoch), header)
        self._open[head.node, head.epoch] = active
        return active

    def resume(self, head: Head) -> ActiveSegment:
        """Go on with a stream whose active segment was moved away. Raises LogBehindIndex when nothing of it is left."""
        active = resume(self.active_path(head.node, head.epoch), head.node, head.epoch)
        if active is None:
            raise LogBehindIndex(
                f"{self.active_path(head.node, head.epoch)}: the log is gone. Put it back, or stop the node and run "
                "'ironbucket recover --from-files'."
            )
        self._open[head.node, head.epoch] = active
        return active

    def rotate(self, head: Head) -> Head:
        """Close the active segment behind `head`, whose line is its last."""
        active = self._open[head.node, head.epoch].rotate(head.sequence + 1, head.chain)
        self._open[head.node, head.epoch] = active
        return replace(head, segment=active.header.first, offset=active.start)

    def origin(self, head: Head) -> Head:
        """What comes before the first record, for a stream of which nothing is applied; any other head as it is.

        An epoch that continues another one does not begin with record 1.
        """
        if head.sequence:
            return head
        for segment in segments(self.active_path(head.node, head.epoch), head.epoch)[:1]:
            header, _ = read_header(segment.path)
            if header.first in (1, header.parent_sequence + 1):
                return replace(head, sequence=header.first - 1, chain=header.chain)
        return head

    def unapplied(self, head: Head) -> Iterator[Line]:
        """The lines that are in the log and not in the index.

        Raises LogDamaged; raises LogBehindIndex when the record that the index applied last is not in the log.
        """
        path = self.active_path(head.node, head.epoch)
        if head.sequence and chain_at(path, head.epoch, head.sequence) != head.chain:
            raise LogBehindIndex
        yield from read_stream(path, head.epoch, head.sequence)

    def cut_torn_end(self, path: str, applied: int = 0) -> str | None:
        """Set the remnant of an append that was cut short aside and cut it off. Returns where it was kept.

        Raises LogDamaged when what is wrong is not at the end, or lies before the byte `applied`, up to which the
        index knows the file: what has been applied had been written whole.
        """
        try:
            tail(path)
        except Torn as torn:
            if torn.offset < applied:
                raise LogDamaged(path, torn.offset, torn.reason) from None
            return set_aside(path, torn.offset, "torn")
        return None

    def close(self) -> None:
        for active in self._open.values():
            active.close()
        self._open.clear()


def at_end(head: Head, active: ActiveSegment) -> bool:
    """Whether the index knows all that the log holds. Raises LogBehindIndex when it knows more."""
    if active.header.first != head.segment:
        return False
    size = active.size()
    if size < head.offset:
        raise LogBehindIndex
    return size == head.offset
