"""Every key has one file name, and the name tells the key."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ironbucket.clock import wall_ms
from ironbucket.store.paths import (
    NAME_MAX,
    Layout,
    decode_key,
    encode_key,
    is_long,
    is_version,
    key_hash,
    made_ms,
    new_version,
    parse_name,
    payload_name,
    shard,
)

VERSION = "01JD3V2Q9Z8K7M5N4P3R2S1T0V"
#: every string that exists, and those that are made of what names have to escape
keys = (
    st.text(st.characters(codec=None, categories=None), min_size=1, max_size=300)
    | st.text("./%~\x00\x7f\n a\ud800\udcff🔑é", min_size=1, max_size=200)
    | st.integers(1, 1024).map(lambda size: "k" * size)
    | st.integers(1, 256).map(lambda size: "🔑" * size)
)


@given(keys)
@example("." * 1024)
@example("/" * 1024)
@example("🔑" * 57)
@example("🔑" * 58)
@example("\ud83d\udd11")
@example("%2F")
@example("a~01JD3V2Q9Z8K7M5N4P3R2S1T0V")
def test_a_name_tells_its_key(key: str) -> None:
    assert decode_key(encode_key(key)) == key
    name = payload_name(key, VERSION)
    assert len(name.encode()) <= NAME_MAX
    assert not set(name) & set("/\0")
    assert not name.startswith(".")
    assert parse_name(name) == ((None, VERSION, key_hash(key)) if is_long(key) else (key, VERSION, None))


@given(keys, keys)
def test_different_keys_have_different_names(one: str, other: str) -> None:
    assert (payload_name(one, VERSION) == payload_name(other, VERSION)) == (one == other)


@pytest.mark.parametrize("key", ["a", "..", "a/b", "//", "k" * 1024, "🔑" * 60, "\ud800", "é", "\udcc3\udca9", "\n"])
def test_the_file_system_takes_the_name(tmp_path: Path, key: str) -> None:
    name = payload_name(key, VERSION)
    (tmp_path / name).touch()
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["key", "key~", f"key~{VERSION.lower()}", f"key~{VERSION[:-1]}", VERSION])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="payload"):
        parse_name(name)


def test_versions_sort_by_age_and_are_unique() -> None:
    before = wall_ms()
    versions = [new_version() for _ in range(1000)]
    assert len(set(versions)) == 1000
    assert all(map(is_version, versions))
    assert all(before <= made_ms(version) <= wall_ms() for version in versions)
    assert [made_ms(version) for version in sorted(versions)] == sorted(map(made_ms, versions))


@given(keys)
def test_shards_are_bounded(key: str) -> None:
    assert len(shard(key)) == 2
    assert 0 <= int(shard(key), 16) < 256


def test_the_layout() -> None:
    layout = Layout("/s3")
    assert layout.payload("b", "a/b", VERSION) == f"/s3/b/{shard('a/b')}/a%2Fb~{VERSION}"
    assert layout.staged("b", "k", VERSION) == f"/s3/b/.staging/k~{VERSION}"
    assert layout.long_key("b", "h") == "/s3/b/.keys/h"
    assert layout.uploads("b") == "/s3/b/.uploads"
    assert layout.index == "/s3/.ironbucket/index.db"
    assert layout.bucket("b") == "/s3/b"
