"""What headers say of an object."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironbucket.s3 import tags
from ironbucket.s3.attributes import decode_value, encode_value
from ironbucket.s3.conditions import etag_matches, parse_date
from ironbucket.s3.response import http_date, iso_date

#: what may be in a header at all, and no encoded words, which are read as what they encode
TEXT = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "=?" not in text)


@given(TEXT)
def test_metadata_survives_the_wire(text: str) -> None:
    wire = encode_value(text)
    assert wire.isascii()
    assert wire == text or wire.startswith("=?UTF-8?B?")
    assert decode_value(wire) == text


@given(TEXT)
def test_raw_utf_8_is_understood(text: str) -> None:
    assert decode_value(text.encode().decode("latin-1")) == text


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_can_be_read(text: str) -> None:
    encode_value(decode_value(text)).encode("ascii")


@given(st.integers(0, 4_000_000_000))
def test_dates_come_back_to_the_second(second: int) -> None:
    assert parse_date(http_date(second * 1000 + 999)) == second
    assert parse_date(iso_date(second * 1000 + 999)) == second


@given(st.text(max_size=40))
def test_any_text_may_stand_where_a_date_should(text: str) -> None:
    parse_date(text)
    etag_matches(text, "d41d8cd98f00b204e9800998ecf8427e")


@given(
    st.dictionaries(
        st.from_regex(r"[\w +=./:@-]{1,9}", fullmatch=True),
        st.from_regex(r"[\w +=./:@-]{0,9}", fullmatch=True),
        max_size=10,
    )
)
def test_tags_survive_a_header(wanted: dict[str, str]) -> None:
    from urllib.parse import urlencode

    assert tags.from_header(urlencode(wanted)) == wanted
