"""Verifying all logs, and cutting what is damaged."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from ironbucket.errors import LogDamaged
from ironbucket.wal.reader import read_stream
from ironbucket.wal.repair import Report, repair, set_aside, streams, verify
from ironbucket.wal.segment import segments
from tests.unit.wal.support import EPOCH, Log


@pytest.fixture
def peer(log: Log) -> Iterator[Log]:
    """A copy of another node's log."""
    made = Log(log.path.parent / "peers" / "node-2" / "19c2a7d0f3aa0002.log", "node-2", "19c2a7d0f3aa0002")
    made.append(3)
    yield made
    made.active.close()


@pytest.fixture
def long(log: Log) -> Log:
    """Three segments: records 1 to 3, 4 to 6, 7 to 9."""
    for _ in range(2):
        log.append(3)
        log.rotate()
    log.append(3)
    return log


def sequences(log: Log) -> list[int]:
    return [line.record.sequence for line in read_stream(str(log.path), log.epoch, 0)]


def flip(path: Path | str, at: int) -> None:
    data = bytearray(Path(path).read_bytes())
    data[at] ^= 1
    Path(path).write_bytes(data)


def places(report: Report) -> list[tuple[str, int, int]]:
    return [(os.path.basename(one.path), one.offset, one.sequence) for one in report.damages]


def test_every_log_is_found(long: Log, peer: Log) -> None:
    report = verify(str(long.path))
    assert [(one.node, one.own, one.first, one.last, one.records, one.segments) for one in report.streams] == [
        ("node-2", False, 1, 3, 3, 1),
        ("node-1", True, 1, 9, 9, 3),
    ]
    assert report.damages == report.torn == []
    assert streams(str(long.path.parent / "nothing" / "wal.log")) == []


def test_progress_ends_at_the_total(long: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ironbucket.wal.repair._STEP", 1)
    told: list[tuple[int, int]] = []
    verify(str(long.path), lambda _, done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == sum(os.path.getsize(one.path) for one in segments(str(long.path), EPOCH))


def test_every_flipped_byte_is_found(log: Log) -> None:
    log.append(3)
    data = log.bytes()
    for at in range(len(data)):
        flip(log.path, at)
        report = verify(str(log.path))
        found = report.damages or report.torn
        line = sum(end <= at for end in log.ends)
        if line == 0 and found == []:
            # a name of another epoch, or of a node that writes nothing here, shows in the file's place alone
            assert report.streams[0].epoch != EPOCH, at
        else:
            assert found[0].offset <= max(at, log.ends[0]), "named at the place or before it"
            assert found[0].offset in (0, *log.ends)
        log.path.write_bytes(data)


def test_a_torn_end_is_no_damage(log: Log) -> None:
    log.append(2)
    data = log.bytes()
    log.path.write_bytes(data[:-10])
    report = repair(str(log.path))
    assert report.damages == []
    assert [one.offset for one in report.torn] == [log.ends[1]]
    assert sequences(log) == [1]
    assert Path(report.cuts[0].kept).read_bytes() == data[log.ends[1] : -10]
    assert ".torn-" in report.cuts[0].kept


def test_damage_in_the_middle_cuts_all_that_follows_and_keeps_it(long: Log) -> None:
    state = long.path.parent / "node.json"
    state.write_text("{}")
    second = segments(str(long.path), EPOCH)[1].path
    before = {one.path: Path(one.path).read_bytes() for one in segments(str(long.path), EPOCH)}
    at = before[second].index(b"\n", before[second].index(b"\n") + 1) + 5  # in record 5
    flip(second, at)
    assert places(verify(str(long.path))) == [(os.path.basename(second), at - 4, 5)]
    report = repair(str(long.path))
    assert sequences(long) == [1, 2, 3, 4]
    assert [(cut.sequences, cut.records) for cut in report.cuts] == [((6, 6), 1), ((7, 9), 3)]
    kept = b"".join(Path(cut.kept).read_bytes() for cut in report.cuts)
    assert len(kept) == len(before[second]) - (at - 4) + len(before[str(long.path)])
    assert not state.exists(), "the next start begins a new epoch"
    assert verify(str(long.path)).damages == []


def test_a_copy_is_cut_without_a_new_epoch(log: Log, peer: Log) -> None:
    state = log.path.parent / "node.json"
    state.write_text('{"node": "node-1"}')
    flip(peer.path, peer.ends[1] + 3)
    assert [cut.stream.node for cut in repair(str(log.path)).cuts] == ["node-2"]
    assert sequences(peer) == [1]
    assert state.exists()


def test_a_compressed_segment_is_cut(long: Log) -> None:
    first = Path(segments(str(long.path), EPOCH)[0].path)
    data = bytearray(first.read_bytes())
    data[long.ends[1] + 3] ^= 1
    packed = Path(f"{first}.zst")
    packed.write_bytes(zstandard.ZstdCompressor().compress(bytes(data)))
    first.unlink()
    report = repair(str(long.path))
    assert sequences(long) == [1]
    assert [cut.records for cut in report.cuts] == [1, 3, 3]
    packed.write_bytes(b"not zstd")
    first.unlink()
    assert verify(str(long.path)).damages[0].offset == 0


def test_a_missing_segment_is_found(long: Log) -> None:
    os.unlink(segments(str(long.path), EPOCH)[1].path)
    damage = verify(str(long.path)).damages[0]
    assert (damage.offset, damage.sequence) == (0, 4)
    assert "4 to 6 are missing" in damage.reason
    repair(str(long.path))
    assert sequences(long) == [1, 2, 3]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_header_is_written_again(long: Log, which: int) -> None:
    (long.path.parent / "node.json").write_text(f'{{"node": "node-1", "epoch": "{EPOCH}"}}')
    path = Path(segments(str(long.path), EPOCH)[which].path)
    before = path.read_bytes()
    for field in (b"#", b"node=", b"epoch=", b"chain="):
        at = before.index(field) + len(field)
        flip(path, at)
        report = repair(str(long.path))
        assert report.restored == [str(path)]
        assert path.read_bytes() == before
        assert sequences(long) == list(range(1, 10))
        assert report.damages == []
        for kept in long.path.parent.glob("*.damaged-*"):
            kept.unlink()


def test_a_log_whose_beginning_is_lost_is_set_aside_whole(log: Log) -> None:
    log.append(2)
    data = log.bytes()
    flip(log.path, 3)
    flip(log.path, log.ends[0] + 3)
    report = repair(str(log.path))
    assert not log.path.exists()
    assert len(Path(report.cuts[0].kept).read_bytes()) == len(data)


def test_bytes_set_aside_are_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    kept = set_aside(str(tmp_path / "file"), 4, "torn")
    assert (tmp_path / "file").read_bytes() == b"0123"
    assert Path(kept).read_bytes() == b"456789"


def test_an_unread_log_raises_what_verify_names(log: Log) -> None:
    log.append(3)
    flip(log.path, log.ends[1] + 2)
    with pytest.raises(LogDamaged) as damaged:
        sequences(log)
    assert places(verify(str(log.path)))[0][1] == damaged.value.offset
