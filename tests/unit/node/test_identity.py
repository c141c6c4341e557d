"""When a new epoch begins, and that no crash on the way loses the log."""

import os
import shutil
from pathlib import Path

import pytest

from ironbucket.config import Settings
from ironbucket.errors import ConfigurationError, LogBehindIndex
from ironbucket.node import Node
from ironbucket.node.identity import begin_epoch, new_epoch
from ironbucket.node.recover import prepare, recover
from ironbucket.wal.reader import read_stream
from ironbucket.wal.repair import verify
from ironbucket.wal.segment import read_header
from tests.unit.node.support import check, contents, dies, dump, make_settings, opened, put

EPOCH_POINTS = ("epoch-retiring", "epoch-created", "epoch-numbered", "epoch-named")


def wal(settings: Settings) -> Path:
    return Path(settings.wal_path).parent


def written(settings: Settings) -> dict[str, bytes]:
    """A node with a few objects, stopped."""
    with opened(settings) as node:
        node.buckets.create("photos", "owner")
        for key in ("a", "b", "c"):
            put(node, key, key.encode())
        return contents(node)


def numbers(settings: Settings) -> list[tuple[str, str, int]]:
    """(node, epoch, sequence) of every record in every log, and its line."""
    found = []
    for stream in verify(settings.wal_path).streams:
        if stream.records:
            found += [
                (stream.node, stream.epoch, line.record.sequence)
                for line in read_stream(stream.path, stream.epoch, stream.first - 1)
            ]
    return found


def test_a_start_after_a_stop_goes_on(settings: Settings) -> None:
    before = written(settings)
    for _ in range(3):
        prepared = prepare(settings)
        assert prepared.identity.began == ""
        assert prepared.replayed == 0
    with opened(settings) as node:
        assert contents(node) == before
        put(node, "d")
        check(node)
    assert [sequence for _, _, sequence in numbers(settings)] == [1, 2, 3, 4, 5]


def test_epochs_sort_by_time() -> None:
    assert new_epoch() != new_epoch()
    assert new_epoch(logged=False).endswith("u")
    assert new_epoch().isalnum()


def test_a_log_put_back_from_a_copy_begins_a_new_epoch(settings: Settings, tmp_path: Path) -> None:
    written(settings)
    shutil.copytree(wal(settings), tmp_path / "backup")
    with opened(settings) as node:
        put(node, "d")
    shutil.rmtree(wal(settings))
    shutil.copytree(tmp_path / "backup", wal(settings))
    prepared = prepare(settings)
    assert "copy" in prepared.identity.began
    assert prepared.rebuilt, "the index knew a record that the log has not"
    with opened(settings) as node:
        assert set(contents(node)) == {"a", "b", "c"}
        put(node, "e")
        check(node, lost=1)
    header, _ = read_header(settings.wal_path)
    assert (header.first, header.parent_sequence) == (5, 4)
    assert len(numbers(settings)) == len(set(numbers(settings))) == 5
    assert prepare(settings).identity.began == "", "once"


def test_a_log_put_back_alone_is_noticed_by_what_sequence_and_index_know(settings: Settings, tmp_path: Path) -> None:
    written(settings)
    shutil.copy(settings.wal_path, tmp_path / "wal.log")
    with opened(settings) as node:
        put(node, "d")
    shutil.copy(tmp_path / "wal.log", settings.wal_path)
    assert "5 had been written" in prepare(settings).identity.began
    with opened(settings) as node:
        put(node, "e")
        check(node, lost=1)
    shutil.copy(settings.wal_path, tmp_path / "wal.log")
    with opened(settings) as node:
        put(node, "f")
    shutil.copy(tmp_path / "wal.log", settings.wal_path)
    (wal(settings) / ".sequence").unlink()
    assert "the index has applied 6" in prepare(settings).identity.began
    assert prepare(settings).identity.began == ""


def test_a_missing_node_json(settings: Settings) -> None:
    before = written(settings)
    (wal(settings) / "node.json").unlink()
    with opened(settings) as node:
        assert contents(node) == before
        put(node, "d")
        check(node)
    assert prepare(settings).identity.began == ""


def test_an_index_can_be_rebuilt_over_epochs(settings: Settings) -> None:
    written(settings)
    for key in ("d", "e"):
        begin_epoch(settings.wal_path)
        with opened(settings) as node:
            put(node, key)
            before = dump(node)
    prepared = recover(settings)
    assert prepared.replayed == 6
    with opened(settings) as node:
        assert dump(node) == before
        check(node)


def test_a_new_epoch_can_be_asked_for(settings: Settings) -> None:
    before = written(settings)
    old = read_header(settings.wal_path)[0].epoch
    assert recover(settings, new_epoch=True).identity.began
    assert read_header(settings.wal_path)[0].parent_epoch == old
    with opened(settings) as node:
        assert contents(node) == before


@pytest.mark.parametrize("point", EPOCH_POINTS)
def test_a_crash_while_an_epoch_begins(tmp_path: Path, point: str) -> None:
    settings = make_settings(tmp_path, wal_segment_size=2048)
    with opened(settings) as node:
        node.buckets.create("photos", "owner")
        for number in range(20):
            put(node, f"{number:02d}")
        before = contents(node)
    assert dies(lambda: begin_epoch(settings.wal_path), f"{point}:kill")
    for key in ("x", "y"):
        with opened(settings) as node:
            assert contents(node) == before
            put(node, key)
            before = contents(node)
            check(node)
    assert len(numbers(settings)) == len(set(numbers(settings))) == 23
    assert sorted(sequence for _, _, sequence in numbers(settings)) == list(range(1, 24)), "no number is missing"
    assert recover(settings).replayed == 23
    with opened(settings) as node:
        assert contents(node) == before


@pytest.mark.parametrize("point", EPOCH_POINTS[1:])
def test_a_crash_at_the_very_first_start(settings: Settings, point: str) -> None:
    assert dies(lambda: prepare(settings), f"{point}:kill")
    before = written(settings)
    with opened(settings) as node:
        assert contents(node) == before
        check(node)


def test_the_specification_s_rotation_by_hand(settings: Settings) -> None:
    before = written(settings)
    os.rename(settings.wal_path, f"{settings.wal_path}.old")
    Path(settings.wal_path).touch()
    prepared = prepare(settings)
    assert prepared.identity.began == "", "nothing is lost, so the epoch goes on"
    with opened(settings) as node:
        assert contents(node) == before
        put(node, "d")
        check(node)
    assert [sequence for _, _, sequence in numbers(settings)] == [1, 2, 3, 4, 5]


def test_a_lost_log_is_not_begun_anew(settings: Settings) -> None:
    written(settings)
    os.unlink(settings.wal_path)
    with pytest.raises(LogBehindIndex, match="from-files"):
        prepare(settings)
    shutil.rmtree(wal(settings))
    with pytest.raises(LogBehindIndex, match="is gone"):
        prepare(settings)
    shutil.rmtree(Path(settings.storage_path) / ".ironbucket")
    with pytest.raises(LogBehindIndex, match="Neither"):
        prepare(settings)


def test_the_log_of_another_node(settings: Settings, tmp_path: Path) -> None:
    written(settings)
    with pytest.raises(ConfigurationError, match="NODE_ID"):
        prepare(make_settings(tmp_path, node_id="node-2"))


def test_the_log_can_be_switched_off_and_on(tmp_path: Path) -> None:
    with opened(make_settings(tmp_path)) as node:
        node.buckets.create("photos", "owner")
        put(node, "logged")
    for number, enabled in enumerate((False, True, False, True)):
        settings = make_settings(tmp_path, wal_enabled=enabled)
        with opened(settings) as node:
            put(node, f"{number}")
            put(node, "both", str(number).encode())
            found = contents(node)
    assert set(found) == {"logged", "both", "0", "1", "2", "3"}
    assert len(numbers(settings)) == len(set(numbers(settings)))
    with pytest.raises(LogBehindIndex, match="switched off"):
        recover(settings)
    with opened(settings) as node:
        assert contents(node) == found, "the refusal has harmed nothing"


def test_records_that_the_index_lacks_are_applied_when_the_log_is_switched_off(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with opened(settings) as node:
        node.buckets.create("photos", "owner")

    def write() -> None:
        put(Node.open(settings), "key")

    assert dies(write, "index-commit:kill")
    with opened(make_settings(tmp_path, wal_enabled=False)) as node:
        assert contents(node) == {"key": b"data"}
