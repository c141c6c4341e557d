"""A snapshot and the logs after it make the same index as all the logs."""

import shutil
from pathlib import Path

import pytest

from ironbucket.errors import LogDamaged
from ironbucket.node import Node, resync, snapshot
from ironbucket.node.recover import recover
from ironbucket.node.rotation import Limits, rotate
from ironbucket.wal import snapshot as file
from ironbucket.wal.archive import compress_closed
from ironbucket.wal.segment import segments
from tests.unit.node.opened import OWNER, everything, opened, put, settings_in

NOW = Limits(1, 0.0)


def fill(node: Node) -> None:
    """Something of every kind that an index holds."""
    node.buckets.create("photos", OWNER)
    node.buckets.create("versions", OWNER)
    node.buckets.create("gone", OWNER)
    node.buckets.delete("gone")
    node.buckets.configure("versions", "versioning", "Enabled")
    node.buckets.configure("photos", "cors", [{"a": "\u00e4\t\n"}])
    for key in ("a", "b", "c\t\n\\", "é/ü"):
        put(node, "photos", key, key.encode("utf-8", "surrogatepass"))
    put(node, "photos", "a", b"again")
    node.objects.delete("photos", "b")
    node.objects.update("photos", "a", None, "tags", {"k": "v"})
    node.objects.update("photos", "a", None, "tags", None)
    first = put(node, "versions", "v", b"1")
    put(node, "versions", "v", b"2")
    node.objects.delete("versions", "v")
    node.objects.delete("versions", "v", first)
    node.buckets.configure("versions", "versioning", "Suspended")
    put(node, "versions", "v", b"null")
    put(node, "versions", "w", b"null")
    node.objects.delete("versions", "w")


def test_an_index_is_the_same_from_a_snapshot_as_from_the_log(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with opened(settings) as node:
        fill(node)
        before = everything(node)
        clock = node.index.reader.execute("SELECT ms, logical FROM clock").fetchone()
        path = snapshot.take(node.index, node.files.directory, "node-1")
    other = settings_in(tmp_path / "other")
    with opened(other) as node:
        snapshot.restore(node.index, path, node.payloads.settle, lambda _: None)
        assert everything(node) == before
        assert node.index.reader.execute("SELECT ms, logical FROM clock").fetchone() >= clock
        snapshot.restore(node.index, path, node.payloads.settle, lambda _: None)  # it may have been cut short before
        assert everything(node) == before


def test_recover_takes_the_snapshot_where_the_log_no_longer_begins_at_1(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with opened(settings) as node:
        fill(node)
        snapshot.take(node.index, node.files.directory, "node-1")
        rotate(node.files, node.committer, NOW)
        put(node, "photos", "after", b"after")
        node.objects.delete("photos", "a")
        before = everything(node)
        closed = segments(settings.wal_path, node.identity.epoch)[0]
        assert closed.path != settings.wal_path
        Path(closed.path).unlink()
    recover(settings)
    with opened(settings) as node:
        assert everything(node) == before
        assert node.objects.payload(node.objects.get("photos", "after")).read() == b"after"
        put(node, "photos", "more")


def test_without_the_records_and_without_a_peer_recovery_says_what_is_lost(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with opened(settings) as node:
        fill(node)
        rotate(node.files, node.committer, NOW)
        put(node, "photos", "after")
        Path(segments(settings.wal_path, node.identity.epoch)[0].path).unlink()
    with pytest.raises(LogDamaged, match="begins after record"):
        recover(settings)


def test_with_a_peer_recovery_asks_for_what_is_lost(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, cluster_nodes=("127.0.0.1:1",), cluster_secret="x" * 16)
    with opened(settings) as node:
        fill(node)
        rotate(node.files, node.committer, NOW)
        put(node, "photos", "after")
        Path(segments(settings.wal_path, node.identity.epoch)[0].path).unlink()
    recover(settings)
    assert resync.pending(str(tmp_path / "wal")) is not None
    with opened(settings) as node:
        assert node.objects.get("photos", "after").size == 1
        put(node, "photos", "more")


def test_the_log_goes_on_over_rotation_and_compression(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, wal_segment_size=600)
    with opened(settings) as node:
        node.buckets.create("b", OWNER)
        for number in range(30):
            put(node, "b", f"k{number}")
            if number == 12:
                assert compress_closed(settings.wal_path, node.identity.epoch)
        before = everything(node)
        found = segments(settings.wal_path, node.identity.epoch)
        assert len(found) > 5
        assert any(one.compressed for one in found)
        assert not all(one.compressed for one in found)
    recover(settings)
    with opened(settings) as node:
        assert everything(node) == before


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_snapshot_is_not_taken_for_whole(tmp_path: Path, damage: str) -> None:
    settings = settings_in(tmp_path)
    with opened(settings) as node:
        fill(node)
        path = Path(snapshot.take(node.index, node.files.directory, "node-1"))
    data = path.read_bytes()
    path.write_bytes(data[:-20] if damage == "cut" else data[:200] + b"\0\0" + data[202:])
    with pytest.raises(LogDamaged):
        list(file.read(str(path)))


def test_a_snapshot_in_the_making_has_another_name(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with opened(settings) as node:
        fill(node)
        path = Path(snapshot.take(node.index, node.files.directory, "node-1"))
        shutil.copy(path, f"{path}.tmp")
        assert file.stored(node.files.directory) == [str(path)]
        file.remove_remnants(node.files.directory)
        assert not Path(f"{path}.tmp").exists()
