"""Pages of listings against a model that looks at everything."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironbucket.store import listing
from ironbucket.store.index import Index
from ironbucket.store.model import CommonPrefix, Kind, Page, Version
from tests.unit.store.support import BUCKET, entry, open_index, store

ALPHABET = ["a", "b", "/", "//", "é", "🔑", "\x00", "\x7f", "ab", "%", ".", "\uffff"]
seeds = st.integers(0, 2**64).map(Random)


def word(chance: Random, longest: int) -> str:
    return "".join(chance.choices(ALPHABET, k=chance.randint(0, longest)))


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def shown(page: Page) -> list[str | tuple[str, str, bool]]:
    return [
        one.prefix if isinstance(one, CommonPrefix) else (one.key, one.version, one.is_latest) for one in page.entries
    ]


def naive(states: dict[str, list[Version]], prefix: str, delimiter: str) -> list[str | tuple[str, str, bool]]:
    """Everything under a prefix, rolled up."""
    found: list[str | tuple[str, str, bool]] = []
    for key in sorted(states, key=utf8):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut >= 0:
            rolled = key[: cut + len(delimiter)]
            if rolled not in found:
                found.append(rolled)
            continue
        newest = max(states[key], key=lambda one: one.stamp)
        for one in sorted(states[key], key=lambda one: one.stamp, reverse=True):
            found.append((key, one.version, one is newest))
    return found


def fill(index: Index, bucket: int, chance: Random) -> dict[str, list[Version]]:
    """Keys with versions, markers, tombstones; returns what clients may see of each."""
    states, number = {}, 0
    for _ in range(chance.randint(0, 40)):
        key = word(chance, 5) or "k"
        versions = []
        for _ in range(chance.choice([1, 1, 1, 3])):
            number += 1
            kind = chance.choice([Kind.OBJECT, Kind.OBJECT, Kind.OBJECT, Kind.DELETE_MARKER, Kind.TOMBSTONE])
            versions.append(entry(key, number, kind, null=False))
        store(index, bucket, tuple(versions))
        states[key] = [one for one in versions if one.kind is not Kind.TOMBSTONE]
    return {key: versions for key, versions in states.items() if versions}


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_objects_page_by_page(chance: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index, bucket = open_index(Path(folder))
        states = fill(index, bucket, chance)
        live = {
            key: [max(versions, key=lambda one: one.stamp)]
            for key, versions in states.items()
            if max(versions, key=lambda one: one.stamp).kind is Kind.OBJECT
        }
        for _ in range(4):
            prefix, delimiter = word(chance, 2), chance.choice(["", "/", "//", "a", "é", "ab", "🔑/"])
            limit = chance.randint(1, 5)
            found: list[object] = []
            after = ""
            while True:
                page = listing.list_objects(index, index.reader, bucket, BUCKET, prefix, delimiter, after, limit)
                assert len(page.entries) <= limit
                found += shown(page)
                if not page.truncated:
                    break
                after = page.next_after
            assert found == naive(live, prefix, delimiter)
        index.close()


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_versions_page_by_page(chance: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index, bucket = open_index(Path(folder))
        states = fill(index, bucket, chance)
        for _ in range(4):
            prefix, delimiter = word(chance, 2), chance.choice(["", "/", "//", "a"])
            limit = chance.randint(1, 4)
            found: list[object] = []
            after, version = "", ""
            while True:
                page = listing.list_versions(
                    index, index.reader, bucket, BUCKET, prefix, delimiter, after, version, limit
                )
                assert len(page.entries) <= limit
                found += shown(page)
                if not page.truncated:
                    break
                after, version = page.next_after, page.next_version
            assert found == naive(states, prefix, delimiter)
        index.close()


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_after_any_key(chance: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index, bucket = open_index(Path(folder))
        states = fill(index, bucket, chance)
        live = {key: one for key, one in states.items() if max(one, key=lambda two: two.stamp).kind is Kind.OBJECT}
        after, prefix = word(chance, 4), word(chance, 1)
        page = listing.list_objects(index, index.reader, bucket, BUCKET, prefix, "", after, 1000)
        expected = [key for key in sorted(live, key=utf8) if utf8(key) > utf8(after) and key.startswith(prefix)]
        assert [one.key for one in page.entries if isinstance(one, Version)] == expected
        index.close()


def test_a_common_prefix_is_skipped_by_a_seek(tmp_path: Path) -> None:
    index, bucket = open_index(tmp_path)
    store(index, bucket, *[(entry(f"dir/{number:05d}", number),) for number in range(3000)], (entry("end", 1),))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    index.reader.set_progress_handler(count, 100)
    page = listing.list_objects(index, index.reader, bucket, BUCKET, "", "/", "", 10)
    assert shown(page) == ["dir/", ("end", "V0001", True)]
    assert steps < 20, "what a page costs does not grow with what lies below a common prefix"
    index.reader.set_progress_handler(None, 0)
    index.close()


@pytest.mark.parametrize("limit", [0, 1])
def test_nothing_asked_for_and_nothing_there(tmp_path: Path, limit: int) -> None:
    index, bucket = open_index(tmp_path)
    assert listing.list_objects(index, index.reader, bucket, BUCKET, "", "", "", limit) == Page([], False, "")
    store(index, bucket, (entry("a", 1),))
    page = listing.list_objects(index, index.reader, bucket, BUCKET, "", "", "", limit)
    assert (len(page.entries), page.truncated) == (limit, False)
    index.close()


def test_a_version_marker_that_is_gone(tmp_path: Path) -> None:
    index, bucket = open_index(tmp_path)
    store(index, bucket, tuple(entry("key", number, null=False) for number in (1, 2, 4, 5)), (entry("z", 9),))
    page = listing.list_versions(index, index.reader, bucket, BUCKET, "", "", "key", "V0003", 10)
    assert shown(page) == [("key", "V0002", False), ("key", "V0001", False), ("z", "V0009", True)]
    page = listing.list_versions(index, index.reader, bucket, BUCKET, "z", "", "key", "V0003", 10)
    assert shown(page) == [("z", "V0009", True)], "a marker before the prefix does not widen it"
    index.close()
