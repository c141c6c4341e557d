"""The state of a key in its two tables."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ironbucket.store import keys
from ironbucket.store.model import Kind, Version
from tests.unit.store.support import BUCKET, entry, open_index, store


def as_set(state: tuple[Version, ...]) -> set[str]:
    return {repr((one.version, one.kind, one.null, one.stamp, one.attributes)) for one in state}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**64).map(Random))
def test_any_state_follows_any_other(chance: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index, bucket = open_index(Path(folder))
        for _ in range(6):
            numbers = chance.sample(range(1, 9), chance.randint(1, 5))
            state = tuple(entry("key", number, chance.choice(list(Kind)), null=False) for number in numbers)
            store(index, bucket, state)
            loaded = keys.load(index, index.reader, bucket, BUCKET, "key")
            assert as_set(loaded) == as_set(state)
            newest = keys.current(state)
            found = keys.get(index, index.reader, BUCKET, "key")
            if newest is not None and newest.kind is Kind.OBJECT:
                assert found is not None
                assert (found[0].version, found[0].is_latest) == (newest.version, True)
            else:
                assert found is None
        index.close()


@given(st.text(st.characters(codec=None, categories=None)))
def test_a_key_is_what_it_was(key: str) -> None:
    assert keys.decode_key(keys.encode_key(key)) == key
