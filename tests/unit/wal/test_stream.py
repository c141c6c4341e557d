"""Appending, taking back, rotating, going on."""

import errno
import os
from pathlib import Path

import pytest

from ironbucket import failpoints
from ironbucket.errors import LogDamaged
from ironbucket.wal.reader import read_stream
from ironbucket.wal.segment import Header, closed_name, segments
from ironbucket.wal.stream import ActiveSegment, moved_away, resume
from tests.unit.wal.support import EPOCH, NODE, Log


def sequences(log: Log, after: int = 0) -> list[int]:
    return [line.record.sequence for line in read_stream(str(log.path), EPOCH, after)]


def test_a_segment_is_not_created_twice(log: Log) -> None:
    with pytest.raises(FileExistsError):
        ActiveSegment.create(str(log.path), Header(NODE, EPOCH, 1, "0" * 32))


def test_what_cannot_be_written_leaves_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append(2)
    before = log.bytes()
    real = os.pwrite

    def half(fd: int, data: memoryview, offset: int) -> int:
        if offset > len(before):
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data[:5], offset)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="full"):
        log.active.append(b"0123456789\n", len(before))
    assert log.bytes() == before


def test_truncate_and_cut(log: Log) -> None:
    log.append(3)
    log.active.cut(log.ends[3])
    assert log.active.size() == log.ends[3]
    log.active.cut(log.ends[2])
    log.active.truncate(log.ends[1])
    assert sequences(log) == [1]


def test_a_rotated_stream_goes_on(log: Log) -> None:
    log.append(2)
    log.rotate()
    log.append(2)
    assert sequences(log) == [1, 2, 3, 4]
    assert sequences(log, 1) == [2, 3, 4]
    assert sequences(log, 2) == [3, 4]


def test_another_process_s_rotation_is_noticed(log: Log) -> None:
    log.append()
    other = ActiveSegment.open(str(log.path))
    assert other.is_current()
    log.rotate()
    assert not other.is_current()
    log.path.unlink()
    assert not other.is_current()
    other.close()


@pytest.mark.parametrize("point", ["log-closed", "log-rotated"])
def test_a_rotation_that_fails_half_way_loses_nothing(log: Log, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    log.append(2)

    def hit(name: str) -> None:
        if name == point:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(failpoints, "hit", hit)
    with pytest.raises(OSError, match="full"):
        log.rotate()
    monkeypatch.undo()
    assert sequences(log) == [1, 2]
    if point == "log-closed":
        assert log.active.is_current()
        log.rotate()
    else:
        log.active.close()
        log.active = ActiveSegment.open(str(log.path))
    log.append(2)
    assert sequences(log) == [1, 2, 3, 4]
    assert [one.first for one in segments(str(log.path), EPOCH)] == [1, 3]


def test_a_closed_segment_is_never_replaced(log: Log) -> None:
    log.append(2)
    stale = ActiveSegment.open(str(log.path))
    log.rotate()
    with pytest.raises(LogDamaged, match="in the place"):
        ActiveSegment(stale.path, stale.header, stale.start, os.open(log.path, os.O_RDWR)).rotate(3, log.chain)
    assert sequences(log) == [1, 2]
    stale.close()


def test_a_log_that_was_moved_away_goes_on(log: Log) -> None:
    log.append(3)
    os.rename(log.path, f"{log.path}.old")
    log.path.touch()
    assert [header.first for _, header in moved_away(str(log.path))] == [1]
    active = resume(str(log.path), NODE, EPOCH)
    assert active is not None
    assert active.header == Header(NODE, EPOCH, 4, log.chain)
    assert sequences(log) == [1, 2, 3]
    active.close()


def test_a_log_of_which_only_a_closed_segment_is_left_goes_on(log: Log) -> None:
    log.append(3)
    log.rotate()
    log.path.unlink()
    active = resume(str(log.path), NODE, EPOCH)
    assert active is not None
    assert active.header.first == 4
    active.close()
    log.path.unlink()
    os.rename(closed_name(str(log.path), EPOCH, 1), log.path.parent / "elsewhere")
    assert resume(str(log.path), NODE, EPOCH) is None


def test_nothing_is_resumed_over_a_log(log: Log) -> None:
    with pytest.raises(FileExistsError):
        resume(str(log.path), NODE, EPOCH)


def test_an_empty_segment_that_was_moved_away(log: Log) -> None:
    os.rename(log.path, f"{log.path}.1")
    active = resume(str(log.path), NODE, EPOCH)
    assert active is not None
    assert active.header.first == 1
    assert segments(str(log.path), EPOCH)[0].path == str(log.path)
    active.close()


def test_remnants_are_no_logs(log: Log, tmp_path: Path) -> None:
    log.append()
    for name in ("torn-20260101T000000Z-5", "damaged-20260101T000000Z-0", "123.tmp"):
        Path(f"{log.path}.{name}").write_bytes(log.bytes())
    assert moved_away(str(log.path)) == []
