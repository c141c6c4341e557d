"""A closed segment survives its compression, whatever stops it."""

from pathlib import Path

import pytest

from ironbucket import failpoints
from ironbucket.wal import archive
from ironbucket.wal.reader import read_stream
from ironbucket.wal.segment import segments
from tests.unit.node.opened import OWNER, opened, put, settings_in


@pytest.fixture
def closed(tmp_path: Path) -> tuple[str, str]:
    """The active path and the epoch of a log in several segments, 11 records."""
    settings = settings_in(tmp_path, wal_segment_size=700)
    with opened(settings) as node:
        node.buckets.create("b", OWNER)
        for number in range(10):
            put(node, "b", f"k{number}")
        return settings.wal_path, node.identity.epoch


def sequences(closed: tuple[str, str]) -> list[int]:
    return [line.record.sequence for line in read_stream(*closed, 0)]


def test_the_records_are_the_same_and_so_is_the_time(closed: tuple[str, str]) -> None:
    before = [Path(one.path).stat().st_mtime_ns for one in segments(*closed)[:-1]]
    made = archive.compress_closed(*closed)
    assert made
    assert [one.path for one in segments(*closed)[:-1]] == made
    assert [Path(path).stat().st_mtime_ns for path in made] == before
    assert sequences(closed) == list(range(1, 12))
    assert archive.compress_closed(*closed) == []
    first = segments(*closed)[1].first
    assert next(line.record.sequence for line in read_stream(*closed, first)) == first + 1


@pytest.mark.parametrize("point", ["segment-compressed", "segment-archived"])
def test_a_stop_at_any_point_loses_nothing(
    closed: tuple[str, str], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoints, "hit", stop)
    with pytest.raises(KeyboardInterrupt):
        archive.compress_closed(*closed)
    monkeypatch.undo()
    assert sequences(closed) == list(range(1, 12))
    archive.remove_remnants(str(Path(closed[0]).parent))
    archive.compress_closed(*closed)
    assert all(one.compressed for one in segments(*closed)[:-1])
    assert sequences(closed) == list(range(1, 12))
