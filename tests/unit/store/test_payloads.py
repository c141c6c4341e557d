"""Payload files: staged, settled, opened, swept."""

import json
import os
from pathlib import Path

import pytest

from ironbucket.clock import Stamp
from ironbucket.store.model import Kind, Part, Version
from ironbucket.store.paths import Layout, new_version
from ironbucket.store.payloads import PayloadDamaged, PayloadMissing, Payloads, read_manifest, write_manifest

KEYS = ("key", "a/b", "k" * 1024, "🔑" * 60, "../..")


class Data:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._data))
        buffer[:count], self._data = self._data[:count], self._data[count:]
        return count


@pytest.fixture
def payloads(tmp_path: Path) -> Payloads:
    return Payloads(Layout(str(tmp_path)))


def version(key: str, name: str, size: int, parts: int = 0) -> Version:
    attributes = {"parts": parts} if parts else {}
    return Version("photos", key, name, True, Kind.OBJECT, Stamp(1, 0, "n"), size, "e", attributes)


@pytest.mark.parametrize("key", KEYS)
def test_a_payload_from_arrival_to_removal(payloads: Payloads, key: str) -> None:
    name = new_version()
    received = payloads.stage("photos", key, name, Data(b"0123456789"), ["md5"])
    assert received.size == 10
    with pytest.raises(PayloadMissing):
        payloads.open(version(key, name, 10))
    assert payloads.settle("photos", key, name) is not None
    assert payloads.settle("photos", key, name) is None
    assert payloads.open(version(key, name, 10), 3, 4).read() == b"3456"
    assert [found[:2] for found in payloads.settled("photos")] == [(key, name)]
    with pytest.raises(PayloadDamaged, match="10 bytes where 11"):
        payloads.open(version(key, name, 11))
    payloads.remove(payloads.layout.payload("photos", key, name))
    payloads.remove(payloads.layout.payload("photos", key, name))
    assert list(payloads.settled("photos")) == []


def test_a_body_that_fails_leaves_nothing(payloads: Payloads) -> None:
    class Broken(Data):
        def readinto(self, buffer: memoryview, /) -> int:
            if not self._data:
                raise OSError("gone")
            return super().readinto(buffer)

    with pytest.raises(OSError, match="gone"):
        payloads.stage("photos", "key", new_version(), Broken(b"x" * 300_000), [])
    assert os.listdir(payloads.layout.staging("photos")) == []


def test_a_link_shares_the_bytes(payloads: Payloads) -> None:
    one, two = new_version(), new_version()
    payloads.stage("photos", "a", one, Data(b"data"), [])
    payloads.settle("photos", "a", one)
    assert payloads.stage_link(version("a", one, 4), "other", "b", two)
    payloads.settle("other", "b", two)
    payloads.remove(payloads.layout.payload("photos", "a", one))
    assert Path(payloads.layout.payload("other", "b", two)).read_bytes() == b"data"
    with pytest.raises(PayloadMissing):
        payloads.stage_link(version("a", one, 4), "other", "c", two)


def multipart(payloads: Payloads, name: str, sizes: list[int]) -> bytes:
    """A settled multipart payload; returns its bytes."""
    directory = Path(payloads.layout.payload("photos", "key", name))
    directory.mkdir(parents=True)
    whole, parts = b"", []
    for number, size in enumerate(sizes, 1):
        data = bytes([number]) * size
        (directory / f"part{number}").write_bytes(data)
        parts.append(Part(number, size, "e", {"crc32": "x"}, f"part{number}", 1))
        whole += data
    write_manifest(str(directory), parts)
    assert read_manifest(str(directory)) == parts
    return whole


def test_every_range_over_the_borders_of_parts(payloads: Payloads) -> None:
    name = new_version()
    whole = multipart(payloads, name, [3, 1, 4, 0])
    one = version("key", name, 8, parts=4)
    for start in range(9):
        for length in range(9 - start):
            payload = payloads.open(one, start, length)
            pieces = [(file if isinstance(file, int) else file.fileno(), *rest) for file, *rest in payload.extents]
            assert sum(count for _, _, count in pieces) == payload.size == length
            assert payload.read() == whole[start : start + length]
    assert payloads.parts(one)[1].size == 1
    payloads.remove(payloads.layout.payload("photos", "key", name))
    with pytest.raises(PayloadMissing):
        payloads.open(one)


def test_a_damaged_manifest_or_part_is_named(payloads: Payloads) -> None:
    name = new_version()
    multipart(payloads, name, [3, 3])
    directory = Path(payloads.layout.payload("photos", "key", name))
    with pytest.raises(PayloadDamaged, match="parts of 6 bytes where 7"):
        payloads.open(version("key", name, 7, parts=2))
    (directory / "part2").write_bytes(b"12")
    payload = payloads.open(version("key", name, 6, parts=2))
    with pytest.raises(PayloadDamaged, match="2 bytes where 3"):
        payload.read()
    for broken in ("{", "[]", json.dumps({"parts": [{}]})):
        (directory / "manifest.json").write_text(broken)
        with pytest.raises(PayloadDamaged):
            payloads.open(version("key", name, 6, parts=2))


def test_the_sweep_settles_what_is_wanted_and_removes_the_rest(payloads: Payloads) -> None:
    wanted, unwanted = new_version(), new_version()
    for key in KEYS:
        for name in (wanted, unwanted):
            payloads.stage("photos", key, name, Data(b"data"), [])
    (Path(payloads.layout.staging("photos")) / "rubbish").touch()
    settled, removed = payloads.sweep(lambda bucket, key, name: bucket == "photos" and name == wanted)
    assert (settled, removed) == (len(KEYS), len(KEYS) + 1)
    assert sorted(found[:2] for found in payloads.settled("photos")) == sorted((key, wanted) for key in KEYS)
    assert os.listdir(payloads.layout.staging("photos")) == []
    assert payloads.sweep(lambda *_: False) == (0, 0)
    assert payloads.buckets() == ["photos"]
