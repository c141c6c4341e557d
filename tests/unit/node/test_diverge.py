"""Records move into a new epoch whole, whatever stops it, and wherever they lie."""

from pathlib import Path

import pytest

from ironbucket import failpoints
from ironbucket.errors import IronBucketError
from ironbucket.node.recover import recover
from ironbucket.wal.archive import compress_closed
from ironbucket.wal.reader import read_stream
from tests.unit.node.opened import OWNER, opened, put, settings_in


@pytest.mark.parametrize("after", [0, 4, 5, 6, 21])
@pytest.mark.parametrize("point", ["", "divert-kept", "divert-cut", "epoch-created", "divert-appended"])
def test_records_move_into_a_new_epoch(tmp_path: Path, after: int, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path, wal_segment_size=700)
    with opened(settings) as node:
        old = node.identity.epoch
        node.buckets.create("b", OWNER)
        for number in range(20):
            put(node, "b", f"k{number}")
        keys = [one.key for one in node.objects.list("b").entries]  # type: ignore[union-attr]
        compress_closed(settings.wal_path, old)
    if point:

        def stop(name: str) -> None:
            if name == point:
                raise KeyboardInterrupt

        monkeypatch.setattr(failpoints, "hit", stop)
        with pytest.raises(KeyboardInterrupt):
            recover(settings, new_epoch=True, after=after)
        monkeypatch.undo()
        with pytest.raises(IronBucketError, match="--new-epoch"):
            recover(settings)
        recover(settings, new_epoch=True)
    else:
        recover(settings, new_epoch=True, after=after)
    with opened(settings) as node:
        assert node.identity.epoch != old
        assert [one.key for one in node.objects.list("b").entries] == keys  # type: ignore[union-attr]
        copies = tmp_path / "wal" / "peers" / "node-1"
        moved = [line.record.sequence for line in read_stream(settings.wal_path, node.identity.epoch, after)]
        for path in copies.glob("*.log"):  # a stop may lead to one more epoch
            if path.stem != old and "-" not in path.stem:
                moved += [line.record.sequence for line in read_stream(str(path), path.stem, after)]
        assert moved == list(range(after + 1, 22))
        stayed = list(read_stream(str(copies / f"{old}.log"), old, 0))
        assert [line.record.sequence for line in stayed] == list(range(1, after + 1))
        put(node, "b", "more")
