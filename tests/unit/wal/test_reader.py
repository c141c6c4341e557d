"""Reading: nothing that was not written, and everything that was, or a named error."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard

from ironbucket.errors import LogDamaged
from ironbucket.wal.reader import Torn, chain_at, last_line, oldest, read_lines, read_stream, tail
from ironbucket.wal.segment import Segment, open_segment, read_header, segments
from tests.unit.wal.support import EPOCH, Log

COUNT = 5


def sequences(path: Path, after: int = 0) -> list[int]:
    return [line.record.sequence for line in read_stream(str(path), EPOCH, after)]


def read_all(path: Path) -> list[int]:
    """Like a recovery: every line up to the end, a torn end being one."""
    header, offset = read_header(str(path))
    found = []
    with open_segment(str(path)) as source:
        source.seek(offset)
        try:
            for line in read_lines(
                source, str(path), header, offset=offset, sequence=header.first - 1, chain=header.chain
            ):
                found.append(line.record.sequence)
        except Torn:
            pass
    return found


@pytest.fixture
def small(log: Log) -> Log:
    log.append(COUNT)
    return log


def test_a_log_cut_at_every_byte_is_a_prefix(small: Log, tmp_path: Path) -> None:
    data, path = small.bytes(), tmp_path / "cut.log"
    for cut in range(small.ends[0], len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in small.ends[1:])
        assert read_all(path) == list(range(1, whole + 1))
        if cut in small.ends:
            assert tail(str(path))[2] == cut
        else:
            with pytest.raises(Torn) as torn:
                tail(str(path))
            assert torn.value.offset == max(end for end in small.ends if end <= cut)


def test_a_byte_changed_anywhere_is_noticed(small: Log, tmp_path: Path) -> None:
    data, path = small.bytes(), tmp_path / "flipped.log"
    for at in range(len(data)):
        for change in (1, 0x20, 0xFF):
            flipped = bytearray(data)
            flipped[at] ^= change
            path.write_bytes(flipped)
            line = sum(end <= at for end in small.ends)  # 0 is the header
            try:
                found = read_all(path)
            except LogDamaged as damaged:
                # what the header says shows in the first line
                assert damaged.offset in ((0, small.ends[0]) if line == 0 else (small.ends[line - 1],))
                continue
            if line == 0:  # the epoch's name: who looks for another one does not read this file
                assert read_header(str(path))[0].epoch != EPOCH
                continue
            # The last line may pass for a torn one, and takes the one before with it when that has lost its end. Where
            # the index knows better (node/heads.py) a start does not believe it.
            assert line == COUNT or (line == COUNT - 1 and at == small.ends[line] - 1)
            assert found == list(range(1, line))


def test_zeros_at_the_end_are_a_torn_end(small: Log) -> None:
    with open(small.path, "ab") as target:
        target.write(b"\0" * 4096)
    with pytest.raises(Torn) as torn:
        tail(str(small.path))
    assert torn.value.offset == small.ends[-1]
    assert sequences(small.path) == [1, 2, 3, 4, 5]


def test_lines_missing_in_the_middle_are_damage(small: Log) -> None:
    data = small.bytes()
    small.path.write_bytes(data[: small.ends[2]] + data[small.ends[3] :])
    with pytest.raises(LogDamaged) as damaged:
        sequences(small.path)
    assert damaged.value.offset == small.ends[2]


def test_reading_from_any_record_on(small: Log) -> None:
    small.rotate()
    small.append(4)
    for after in range(10):
        assert sequences(small.path, after) == list(range(after + 1, 10))
        assert chain_at(str(small.path), EPOCH, after) is not None
    assert chain_at(str(small.path), EPOCH, 9) == small.chain
    assert chain_at(str(small.path), EPOCH, 10) is None
    assert oldest(str(small.path), EPOCH) == 1
    assert oldest(str(small.path), "other") is None


def test_damage_before_the_wanted_record_does_not_hide_it(small: Log) -> None:
    data = bytearray(small.bytes())
    data[small.ends[2] + 5] ^= 0xFF  # in record 3, which a search for record 2 looks at
    small.path.write_bytes(data)
    for after in range(1, 3):
        with pytest.raises(LogDamaged) as damaged:
            sequences(small.path, after)
        assert damaged.value.offset == small.ends[2]


def test_a_missing_segment_is_named(small: Log) -> None:
    for _ in range(2):
        small.rotate()
        small.append(2)
    os.unlink(segments(str(small.path), EPOCH)[1].path)
    with pytest.raises(LogDamaged, match="record 6 is missing"):
        sequences(small.path)


def test_segments_have_to_continue_each_other(small: Log, tmp_path: Path) -> None:
    small.rotate()
    small.append(2)
    other = Log(tmp_path / "other" / "wal.log")
    other.append(COUNT, key="another")
    closed = Path(segments(str(small.path), EPOCH)[0].path)
    closed.write_bytes(other.bytes())
    other.active.close()
    with pytest.raises(LogDamaged, match="does not continue"):
        sequences(small.path)
    closed.write_bytes(small.bytes())
    with pytest.raises(LogDamaged, match="name promises"):
        sequences(small.path)


def test_the_torn_end_of_a_closed_segment_is_damage(small: Log) -> None:
    small.rotate()
    small.append()
    closed = Path(segments(str(small.path), EPOCH)[0].path)
    closed.write_bytes(closed.read_bytes()[:-3])
    with pytest.raises(LogDamaged, match="no line end"):
        sequences(small.path)
    with pytest.raises(LogDamaged):
        last_line(Segment(str(closed), EPOCH, 1))


def test_rotations_while_reading(small: Log) -> None:
    lines = read_stream(str(small.path), EPOCH, 0)
    assert next(lines).record.sequence == 1
    small.rotate()
    small.append(2)
    small.rotate()
    assert [line.record.sequence for line in lines][:4] == [2, 3, 4, 5]
    assert sequences(small.path, 5) == [6, 7]


def test_a_compressed_segment_can_be_read_from_the_middle(small: Log) -> None:
    small.rotate()
    closed = Path(segments(str(small.path), EPOCH)[0].path)
    Path(f"{closed}.zst").write_bytes(zstandard.ZstdCompressor().compress(closed.read_bytes()))
    closed.unlink()
    assert sequences(small.path, 3) == [4, 5]
    _, last = last_line(segments(str(small.path), EPOCH)[0])
    assert last is not None
    assert (last.record.sequence, last.chain) == (5, small.chain)


@pytest.mark.parametrize("length", [0, 10, 5_000, 30_000])
@pytest.mark.parametrize("window", [1, 64, 10_240])
def test_the_tail_of_lines_of_any_length(log: Log, length: int, window: int) -> None:
    header, last, size = tail(str(log.path), window)
    assert (last, size) == (None, log.ends[0])
    for key in ("k" * length, "k", "k" * length):
        log.append(key=key)
        header, last, size = tail(str(log.path), window)
        assert last is not None
        assert (last.record.sequence, last.chain, last.end, size) == (log.sequence, log.chain, size, log.active.size())
    assert header.first == 1


def test_the_tail_proves_a_last_line_that_fills_the_window(log: Log) -> None:
    log.append(2)
    log.append(key="k" * 20_000)
    data = bytearray(log.bytes())
    data[log.ends[2] + 200] ^= 1
    log.path.write_bytes(data)
    with pytest.raises(LogDamaged, match="chain hash"):
        tail(str(log.path))


def test_the_tail_reads_the_end_only(log: Log) -> None:
    log.append(200)
    data = bytearray(log.bytes())
    data[log.ends[1]] ^= 1
    log.path.write_bytes(data)
    _, last, _ = tail(str(log.path))
    assert last is not None
    assert last.record.sequence == 200


def test_a_line_that_is_just_being_written_is_no_damage(log: Log) -> None:
    log.append(2)
    data = log.bytes()
    for begin, end in pairwise(log.ends):
        log.path.write_bytes(data[: begin + 10])
        found = []
        lines = read_stream(str(log.path), EPOCH, 0)
        for line in lines:
            found.append(line.record.sequence)
            log.path.write_bytes(data[:end])
        assert found == list(range(1, len(found) + 1))
