"""Lines that name a key are found from the end of a log, wherever the blocks are cut."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironbucket.wal import search
from ironbucket.wal.record import NO_CHAIN, PUT, Record, encode, epoch_chain
from ironbucket.wal.search import Searched, find
from ironbucket.wal.segment import Header, Segment

KEYS = ("a", "b\tc", "a/a", "\n", "x" * 40)


def written(path: Path, keys: list[str]) -> Segment:
    chain = epoch_chain("e1", NO_CHAIN)
    lines = [Header("node-1", "e1", 1, chain).encode()]
    for i, key in enumerate(keys, 1):
        line, chain = encode(Record(PUT, "node-1", i, i, "photos", key, 1, "etag", {"meta": {"k": "photos\ta"}}), chain)
        lines.append(line)
    path.write_bytes(b"".join(lines))
    return Segment(str(path), "e1", 1)


def found(segments: list[Segment], key: str, most: int = 1 << 30) -> tuple[list[int], Searched]:
    searched = Searched()
    records = find(segments, "photos", key, most, searched, lambda: None)
    return [record.sequence for record in records], searched


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(st.sampled_from(KEYS), max_size=30), block=st.integers(1, 400))
def test_all_and_only_the_lines_of_a_key_the_newest_first(
    keys: list[str], block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_BLOCK", block)
    segment = written(tmp_path / "wal.log", keys)
    for key in KEYS:
        sequences, searched = found([segment], key)
        assert sequences == [i for i, one in reversed(list(enumerate(keys, 1))) if one == key]
        assert searched.complete


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    segment = written(tmp_path / "wal.log", ["a", "a"])
    path = Path(segment.path)
    path.write_bytes(path.read_bytes()[:-5])
    assert found([segment], "a")[0] == [1]


def test_a_compressed_segment_and_the_bound(tmp_path: Path) -> None:
    import zstandard

    plain = written(tmp_path / "wal.log", ["a", "b\tc", "a"])
    packed = tmp_path / "wal-e1-00000000000000000001.log.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(Path(plain.path).read_bytes()))
    closed = Segment(str(packed), "e1", 1)
    assert found([closed], "a")[0] == [3, 1]
    sequences, searched = found([plain, closed], "a", most=1)
    assert sequences == [3, 1]
    assert not searched.complete
    assert found([Segment(str(tmp_path / "gone"), "e1", 1), plain], "a")[0] == [3, 1]
