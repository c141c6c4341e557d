"""Names and headers of segments, and finding a record in one."""

import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.errors import LogDamaged
from ironbucket.wal.segment import (
    Header,
    closed_name,
    closed_segments,
    is_closed,
    open_segment,
    read_header,
    seek_sequence,
    segments,
)
from tests.unit.wal.support import EPOCH, Log

names = st.text("0123456789abcdef", min_size=1, max_size=16)


@given(
    st.text("abc-_.09", min_size=1),
    names,
    st.integers(1, 2**63),
    st.text("0123456789abcdef", min_size=32, max_size=32),
    names,
    st.integers(0, 2**63),
)
def test_a_header_is_what_it_was(node: str, epoch: str, first: int, chain: str, parent: str, sequence: int) -> None:
    for header in (Header(node, epoch, first, chain), Header(node, epoch, first, chain, parent, sequence)):
        assert Header.decode(header.encode()) == header


def test_a_header_without_its_end_is_none(tmp_path: Path) -> None:
    line = Header("n", "e", 1, "0" * 32).encode()
    for cut in range(len(line)):
        (tmp_path / "log").write_bytes(line[:cut])
        with pytest.raises(LogDamaged):
            read_header(str(tmp_path / "log"))


def test_another_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(Header("n", "e", 1, "0" * 32).encode().replace(b"wal=1", b"wal=2"))
    with pytest.raises(LogDamaged, match="format 2"):
        read_header(str(tmp_path / "log"))


def test_names_of_closed_segments() -> None:
    assert closed_name("/w/wal.log", "19ab", 7) == "/w/wal-19ab-00000000000000000007.log"
    assert closed_name("/w/peers/n/19ab.log", "19ab", 7) == "/w/peers/n/19ab-00000000000000000007.log"
    assert is_closed("/w/wal-19ab-00000000000000000007.log.zst")
    assert not is_closed("/w/wal.log")
    assert not is_closed("/w/wal-19ab-00000000000000000007.log.damaged-20260101T000000Z-0")


def test_segments_are_found_in_order(log: Log) -> None:
    for _ in range(3):
        log.append(2)
        log.rotate()
    assert [segment.first for segment in segments(str(log.path), EPOCH)] == [1, 3, 5, 7]
    assert [segment.first for segment in closed_segments(str(log.path.parent), EPOCH)] == [1, 3, 5]
    assert segments(str(log.path), "other") == []
    assert segments(str(log.path.parent / "nowhere" / "wal.log"), EPOCH) == []


def test_a_compressed_segment_reads_like_a_plain_one(log: Log) -> None:
    log.append(3)
    log.rotate()
    plain = Path(segments(str(log.path), EPOCH)[0].path)
    data = plain.read_bytes()
    packed = Path(f"{plain}.zst")
    packed.write_bytes(zstandard.ZstdCompressor().compress(data))
    assert segments(str(log.path), EPOCH)[0].path == str(plain), "while both are there"
    plain.unlink()
    found = segments(str(log.path), EPOCH)[0]
    assert found.compressed
    with open_segment(found.path) as source:
        assert source.read() == data
    packed.write_bytes(b"not zstd")
    with pytest.raises(LogDamaged, match="decompressed"):
        read_header(str(packed))


def test_a_record_is_found_wherever_it_is(tmp_path: Path) -> None:
    log = Log(tmp_path / "wal.log")
    for number in range(40):
        log.append(key="k" * (number * 37 % 200))
    with open(log.path, "rb") as source:
        size = os.path.getsize(log.path)
        for sequence in range(1, 41):
            assert seek_sequence(source, size, log.ends[0], sequence) == log.ends[sequence - 1]
        assert seek_sequence(source, size, log.ends[0], 41) == size
    log.active.close()


def test_a_search_that_meets_damage_begins_at_the_start(log: Log) -> None:
    log.append(9)
    data = bytearray(log.bytes())
    data[log.ends[4] : log.ends[5] - 1] = b"x" * (log.ends[5] - log.ends[4] - 1)
    log.path.write_bytes(data)
    with open(log.path, "rb") as source:
        assert seek_sequence(source, len(data), log.ends[0], 5) == log.ends[0]
