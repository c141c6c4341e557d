"""Neither log nor index: what payload files tell by themselves."""

import shutil
from pathlib import Path

import pytest

from ironbucket.config import Settings
from ironbucket.errors import IronBucketError, LogBehindIndex
from ironbucket.node.from_files import from_files
from ironbucket.node.recover import prepare, recover
from ironbucket.store.paths import Layout
from tests.unit.node.support import OWNER, contents, dies, dump, opened, put
from tests.unit.node.test_recover import fill

LIVE = {"a", "long" * 200, "\udcff\0%~/", "versioned", "multi"}


def lose(settings: Settings) -> None:
    shutil.rmtree(Path(settings.wal_path).parent)
    shutil.rmtree(Layout(settings.storage_path).system)


@pytest.mark.parametrize("lost", [True, False], ids=["all is lost", "all is there"])
def test_log_and_index_are_made_anew(settings: Settings, lost: bool) -> None:
    visible, _ = fill(settings)
    with opened(settings) as node:
        before = {key: node.objects.get("photos", key) for key in LIVE}
    if lost:
        lose(settings)
        with pytest.raises(LogBehindIndex, match="from-files"):
            prepare(settings)
    told: list[tuple[str, int, int]] = []
    prepared = from_files(settings, owner=OWNER, progress=lambda *what: told.append(what))
    assert len(prepared.set_aside) == (0 if lost else 2)
    assert all(Path(path).exists() for path in prepared.set_aside)
    assert told[-1][1:] == (7, 7)
    with opened(settings) as node:
        found = contents(node)
        assert {key: found[key] for key in visible} == visible
        assert set(found) - LIVE == {"b", "c"}, "deletions are not known"
        for key, version in before.items():
            again = node.objects.get("photos", key)
            assert (again.version, again.size, again.etag, again.owner) == (
                version.version,
                version.size,
                version.etag,
                OWNER,
            )
            assert abs(again.stamp.ms - version.stamp.ms) < 60_000
            assert again.content_type == "binary/octet-stream"
        assert [len(node.objects.parts(node.objects.get("photos", "multi"))), node.buckets.get("empty").name] == [
            2,
            "empty",
        ]
        made = dump(node)
    assert any("content type" in one and "7 objects" in one for one in prepared.unknown)
    assert any("3 older versions" in one for one in prepared.unknown)
    recover(settings)
    with opened(settings) as node:
        assert dump(node) == made, "log and index agree"
        put(node, "a", b"newer")
        assert contents(node)["a"] == b"newer"


def test_payloads_that_are_not_whole_are_counted_and_kept(settings: Settings) -> None:
    fill(settings)
    with opened(settings) as node:
        version = node.objects.get("photos", "multi")
        part = node.objects.parts(version)[0]
        path = Path(node.payloads.layout.payload("photos", "multi", version.version), part.name)
        path.write_bytes(b"short")
    prepared = from_files(settings, owner=OWNER)
    assert any(one.startswith("1 payloads that cannot be read") for one in prepared.unknown)
    with opened(settings) as node:
        assert "multi" not in contents(node)
        assert path.exists()


@pytest.mark.parametrize("point", ["from-files-begun", "log-synced", "payload-settled", "index-commit:kill:2"])
def test_a_run_that_was_cut_short_is_run_again(settings: Settings, point: str) -> None:
    visible, _ = fill(settings)
    lose(settings)
    armed = point if ":" in point else f"{point}:kill"
    assert dies(lambda: from_files(settings, owner=OWNER), armed)
    with pytest.raises(IronBucketError, match="cut short"):
        prepare(settings)
    with pytest.raises(IronBucketError, match="cut short"):
        recover(settings)
    from_files(settings, owner=OWNER)
    with opened(settings) as node:
        found = contents(node)
        assert {key: found[key] for key in visible} == visible


def test_an_empty_node(settings: Settings) -> None:
    assert from_files(settings, owner=OWNER).replayed == 0
    with opened(settings) as node:
        assert node.buckets.list() == []
