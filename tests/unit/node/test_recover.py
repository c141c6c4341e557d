"""From whatever a stop left behind to a node that can be opened."""

import json
import os
from pathlib import Path

import pytest

from ironbucket import checksums
from ironbucket.config import Settings
from ironbucket.errors import AlreadyRunning, LogDamaged
from ironbucket.node import Node
from ironbucket.node.body import Attributes, Expected
from ironbucket.node.objects import bytes_body
from ironbucket.node.recover import prepare, recover, running_alone
from ironbucket.store.index import IndexDamaged
from ironbucket.store.paths import Layout
from ironbucket.wal.repair import repair
from ironbucket.wal.segment import read_header
from tests.unit.node.support import OWNER, check, contents, dies, dump, make_settings, opened, put


def fill(settings: Settings) -> tuple[dict[str, bytes], dict[str, list[object]]]:
    """A node with all there is to rebuild, stopped: overwritten and deleted objects, versions, a multipart object."""
    with opened(settings) as node:
        node.buckets.create("photos", OWNER)
        node.buckets.create("empty", OWNER)
        for key in ("a", "b", "c", "a", "long" * 200, "\udcff\0%~/"):
            put(node, key, key.encode("utf-8", "surrogatepass"))
        node.objects.delete("photos", "b")
        node.objects.update("photos", "a", None, "tags", {"x": "y"})
        node.buckets.configure("photos", "versioning", "Enabled")
        version = put(node, "versioned", b"1")
        put(node, "versioned", b"2")
        put(node, "versioned", b"3")
        node.objects.delete("photos", "versioned", version.version_id)
        node.objects.delete("photos", "c")
        upload(node)
        return contents(node), dump(node)


def upload(node: Node) -> None:
    made = node.uploads.create("photos", "multi", Attributes(owner=OWNER))
    parts = [
        node.uploads.put_part("photos", "multi", made.upload_id, number, bytes_body(data), Expected())
        for number, data in enumerate((bytes(5 << 20), b"end"), 1)
    ]
    node.uploads.complete("photos", "multi", made.upload_id, [(one.number, one.etag, {}) for one in parts])


def index_of(settings: Settings) -> Path:
    return Path(Layout(settings.storage_path).index)


def test_a_missing_index_is_made_anew(settings: Settings) -> None:
    visible, before = fill(settings)
    for path in index_of(settings).parent.iterdir():
        path.unlink()
    assert prepare(settings).replayed > 10
    with opened(settings) as node:
        assert (contents(node), dump(node)) == (visible, before)
        check(node)


def test_recover_makes_the_same_index(settings: Settings) -> None:
    visible, before = fill(settings)
    told: list[tuple[str, int, int]] = []
    recovered = recover(settings, progress=lambda *what: told.append(what))
    assert recovered.rebuilt
    assert told[-1] == ("replaying the log of node-1", recovered.replayed, 0)
    with opened(settings) as node:
        assert (contents(node), dump(node)) == (visible, before)


def test_a_damaged_index_names_the_remedy_which_works(settings: Settings) -> None:
    visible, before = fill(settings)
    data = bytearray(index_of(settings).read_bytes())
    data[:100] = b"x" * 100
    index_of(settings).write_bytes(data)
    with pytest.raises(IndexDamaged, match="ironbucket recover") as damaged:
        prepare(settings)
    assert damaged.value.exit_status == 3
    recover(settings)
    with opened(settings) as node:
        assert (contents(node), dump(node)) == (visible, before)


def test_an_index_that_lost_its_tail_catches_up(settings: Settings) -> None:
    with opened(settings) as node:
        node.buckets.create("photos", OWNER)
        put(node, "a")
    saved = index_of(settings).read_bytes()
    visible, before = None, None
    with opened(settings) as node:
        put(node, "a", b"new")
        put(node, "b")
        visible, before = contents(node), dump(node)
    index_of(settings).write_bytes(saved)
    assert prepare(settings).replayed == 2
    with opened(settings) as node:
        assert (contents(node), dump(node)) == (visible, before)
        check(node)


def test_an_index_ahead_of_the_log_after_a_power_loss(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, wal_flush_interval=5.0)
    with opened(settings) as node:
        node.buckets.create("photos", OWNER)
        put(node, "a")
        kept = os.path.getsize(settings.wal_path)
        put(node, "b")
        put(node, "c")
    for torn in (0, 30):
        os.truncate(settings.wal_path, kept + torn)
        prepared = prepare(settings)
        assert prepared.rebuilt
        assert prepared.identity.began
        assert len(prepared.set_aside) == bool(torn)
        with opened(settings) as node:
            assert set(contents(node)) == {"a"}
            check(node, lost=2 + bool(torn))
            put(node, "d")
            node.objects.delete("photos", "d")
            kept = os.path.getsize(settings.wal_path)
            put(node, "e")


def test_damage_in_what_the_index_knows_is_no_torn_end(settings: Settings) -> None:
    with opened(settings) as node:
        node.buckets.create("photos", OWNER)
        put(node, "a")
        begin = os.path.getsize(settings.wal_path)
        put(node, "b")
    data = bytearray(Path(settings.wal_path).read_bytes())
    data[-1] ^= 1  # the last line has lost its end
    Path(settings.wal_path).write_bytes(data)
    with pytest.raises(LogDamaged) as damaged:
        prepare(settings)
    assert damaged.value.offset == begin
    repair(settings.wal_path)
    prepared = prepare(settings)
    assert prepared.rebuilt
    with opened(settings) as node:
        assert set(contents(node)) == {"a"}
        put(node, "c")
        check(node, lost=1)


def test_damage_in_the_middle_stops_the_start_and_is_repaired(settings: Settings) -> None:
    fill(settings)
    data = bytearray(Path(settings.wal_path).read_bytes())
    header, start = read_header(settings.wal_path)
    third = start
    for _ in range(2):
        third = data.index(b"\n", third) + 1
    data[third + 3] ^= 1
    Path(settings.wal_path).write_bytes(data)
    with pytest.raises(LogDamaged) as damaged:
        recover(settings)
    assert damaged.value.offset == third
    assert index_of(settings).exists(), "the old index stays as long as there is no other"
    cut = repair(settings.wal_path).cuts[0]
    assert cut.offset == third
    assert cut.sequences is not None
    assert cut.sequences[0] == 4
    with opened(settings) as node:
        assert set(contents(node)) == set()
        assert read_header(settings.wal_path)[0].parent_epoch == header.epoch
        put(node, "after")
    recover(settings)
    with opened(settings) as node:
        assert set(contents(node)) == {"after"}


@pytest.mark.parametrize("point", ["replay-settled", "index-commit", "index-rebuilt", "index-removed"])
def test_a_crash_in_a_recovery(settings: Settings, point: str) -> None:
    visible, before = fill(settings)
    assert dies(lambda: recover(settings), f"{point}:kill")
    with opened(settings) as node:
        assert (contents(node), dump(node)) == (visible, before)
        check(node)
    assert not list(index_of(settings).parent.glob("*.new*"))


def test_remnants_of_a_crash_are_swept(settings: Settings) -> None:
    visible, _ = fill(settings)
    layout = Layout(settings.storage_path)
    with opened(settings) as node:
        open_upload = node.uploads.create("photos", "open", Attributes(owner=OWNER))
        node.uploads.put_part("photos", "open", open_upload.upload_id, 1, bytes_body(b"part"), Expected())
    uploads = Path(layout.uploads("photos"))
    (uploads / open_upload.upload_id / ".00002~01JD3V2Q9Z8K7M5N4P3R2S1T0V").touch()
    (uploads / open_upload.upload_id / "manifest.json.12-13.tmp").touch()
    (uploads / "01JD3V2Q9Z8K7M5N4P3R2S1T0V.node-1").mkdir()
    (Path(layout.staging("photos")) / "key~01JD3V2Q9Z8K7M5N4P3R2S1T0V").touch()
    (Path(layout.staging("photos")) / "rubbish").mkdir()
    (Path(layout.bucket("photos")) / ".keys" / "x.12-13.tmp").touch()
    (Path(settings.wal_path).parent / "node.json.12-13.tmp").touch()
    assert prepare(settings).removed == 6
    assert not list(Path(settings.wal_path).parent.glob("*.tmp"))
    with opened(settings) as node:
        assert contents(node) == visible
        check(node)
        assert len(node.uploads.list_parts("photos", "open", open_upload.upload_id)[1]) == 1


def test_a_multipart_object_whose_rename_was_lost(settings: Settings) -> None:
    visible, _ = fill(settings)
    with opened(settings) as node:
        version = node.objects.get("photos", "multi")
        os.rename(
            node.payloads.layout.payload("photos", "multi", version.version),
            f"{node.payloads.layout.uploads('photos')}/{version.attributes['upload']}",
        )
        made = Path(node.payloads.layout.uploads("photos"), version.attributes["upload"])
        upload_id = version.attributes["upload"]
        document = {"bucket": "photos", "key": "multi", "upload_id": upload_id, "initiated_ms": 0, "attributes": {}}
        (made / "upload.json").write_text(json.dumps(document))
    assert prepare(settings).settled == 1
    with opened(settings) as node:
        assert contents(node) == visible


def test_a_node_runs_once(settings: Settings) -> None:
    with running_alone(settings), pytest.raises(AlreadyRunning, match="Stop it first"):
        recover(settings)


def test_checksums_survive(settings: Settings) -> None:
    value = checksums.encode(b"\0\0\0\1")
    with opened(settings) as node:
        node.buckets.create("photos", OWNER)
        node.objects.put(
            "photos", "k", bytes_body(b""), Expected(checksums={"crc32": checksums.encode(bytes(4))}), Attributes()
        )
    recover(settings)
    with opened(settings) as node:
        assert node.objects.get("photos", "k").checksums == {"crc32": checksums.encode(bytes(4))} != {"crc32": value}
