"""Ranges of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.errors import InvalidArgument, InvalidRange
from ironbucket.s3 import ranges

NUMBER = st.integers(0, 30)


@given(NUMBER, NUMBER, NUMBER)
def test_a_range_is_the_slice_it_names(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    try:
        found = ranges.parse(f"bytes={first}-{last}", size)
    except InvalidRange:
        assert not data[first : last + 1]
        return
    if found is None:
        assert last < first
    else:
        start, length = found
        assert data[start : start + length] == data[first : last + 1] != b""


@given(NUMBER, NUMBER)
def test_open_and_suffix_ranges(size: int, number: int) -> None:
    data = bytes(range(size))
    for header, wanted in ((f"bytes={number}-", data[number:]), (f"bytes=-{number}", data[max(size - number, 0) :])):
        try:
            found = ranges.parse(header, size)
        except InvalidRange:
            assert wanted == b""
            continue
        assert found is not None
        assert data[found[0] : found[0] + found[1]] == wanted != b""


@given(st.text(max_size=30), NUMBER)
def test_any_text_is_a_range_or_ignored_or_refused(text: str, size: int) -> None:
    try:
        found = ranges.parse(text, size)
    except InvalidRange:
        return
    assert found is None or (found[1] > 0 and sum(found) <= size)


@given(NUMBER, NUMBER, NUMBER)
def test_the_range_of_a_copy_lies_inside_its_source(size: int, first: int, last: int) -> None:
    if first <= last < size:
        assert ranges.parse_source(f"bytes={first}-{last}", size) == (first, last - first + 1)
    else:
        with pytest.raises(InvalidArgument):
            ranges.parse_source(f"bytes={first}-{last}", size)
