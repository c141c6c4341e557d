"""Continuation tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.errors import InvalidArgument
from ironbucket.s3 import tokens


@given(st.text())
def test_a_token_stands_for_its_place(place: str) -> None:
    assert tokens.decode(tokens.encode(place)) == place


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    try:
        place = tokens.decode(text)
    except InvalidArgument:
        return
    assert tokens.encode(place) == text


@given(st.text(min_size=1), st.data())
def test_a_token_that_lost_a_character_is_refused(place: str, data: st.DataObject) -> None:
    token = tokens.encode(place)
    cut = data.draw(st.integers(0, len(token) - 1))
    with pytest.raises(InvalidArgument):
        tokens.decode(token[:cut])
