"""The format of a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.clock import Stamp
from ironbucket.wal.record import (
    NO_CHAIN,
    OPERATIONS,
    InvalidRecord,
    Record,
    chain_hash,
    decode,
    encode,
    epoch_chain,
    escape,
    unescape,
)

#: every string that exists, lone surrogates and control characters too
texts = st.text(st.characters(codec=None, categories=None), max_size=40) | st.text("\\\t\n\r\0tnr0#x", max_size=12)
numbers = st.integers(0, 2**63)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
records = st.builds(
    lambda operation, node, sequence, ms, bucket, rest, attributes: Record(
        operation, node, sequence, ms, bucket, *rest, attributes=attributes
    ),
    st.sampled_from(sorted(OPERATIONS)),
    texts,
    numbers,
    numbers,
    texts,
    st.one_of(st.just((None, None, None)), st.tuples(texts, st.none(), st.none()), st.tuples(texts, numbers, texts)),
    st.dictionaries(st.text(max_size=8), json_values, max_size=4),
)


@given(texts)
def test_a_field_is_what_it_was(text: str) -> None:
    escaped = escape(text)
    assert unescape(escaped) == text
    assert not set(escaped) & set("\t\n\r\0")


@given(records)
def test_a_record_is_what_it_was(record: Record) -> None:
    line, chain = encode(record, NO_CHAIN)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line[:-1], NO_CHAIN) == (record, chain)
    assert decode(line[:-1], None) == (record, chain)


@given(records, records)
def test_different_records_have_different_lines(one: Record, other: Record) -> None:
    assert (encode(one, NO_CHAIN) == encode(other, NO_CHAIN)) == (one == other)


@given(st.text("\\tnr0x", max_size=8))
def test_an_unknown_escape_is_refused_or_undone_exactly(text: str) -> None:
    try:
        assert escape(unescape(text)) == text
    except InvalidRecord as error:
        assert "unknown escape" in str(error)


@given(records, st.data())
def test_any_changed_byte_is_noticed(record: Record, data: st.DataObject) -> None:
    line = bytearray(encode(record, NO_CHAIN)[0][:-1])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidRecord):
        decode(bytes(line), NO_CHAIN)


def test_the_first_eight_fields_are_the_specification_s() -> None:
    record = Record("PUT", "node-1", 123, 1759184567899, "mybucket", "myfile.jpg", 123851, "0" * 32, {"version": "V"})
    line, chain = encode(record, NO_CHAIN)
    fields = line.decode().split("\t")
    assert fields[:8] == ["PUT", "node-1", "123", "1759184567899", "mybucket", "myfile.jpg", "123851", "0" * 32]
    assert fields[8:] == ['{"version":"V"}', chain + "\n"]


def test_the_chain_covers_the_line_and_its_predecessor() -> None:
    line, chain = encode(Record("DELETE_BUCKET", "n", 1, 1, "b"), NO_CHAIN)
    assert chain == chain_hash(NO_CHAIN, line[: -len(chain) - 1])
    with pytest.raises(InvalidRecord, match="chain"):
        decode(line[:-1], epoch_chain("e", NO_CHAIN))


@pytest.mark.parametrize(
    "fields",
    [
        "PUT\tn\t1\t1\tb",
        "GRANT\tn\t1\t1\tb\t{}",
        "PUT\tn\t01\t1\tb\t{}",
        "PUT\tn\t-1\t1\tb\t{}",
        "PUT\tn\t１\t1\tb\t{}",
        "PUT\tn\t1\t1\tb\t[]",
        "PUT\tn\t1\t1\tb\t{",
        "PUT\tn\t1\t1\tb\tk\t1\t{}",
        "PUT\tn\t1\t1\tb\tk\t1\te\t{}\tx",
        "PUT\tn\t1\t1\tb\\x\t{}",
    ],
)
def test_what_is_no_record_is_refused(fields: str) -> None:
    covered = (fields + "\t").encode()
    with pytest.raises(InvalidRecord):
        decode(covered + chain_hash(NO_CHAIN, covered).encode(), NO_CHAIN)


def test_not_utf_8() -> None:
    covered = b"PUT\tn\t1\t1\t\xff\t{}\t"
    with pytest.raises(InvalidRecord, match="UTF-8"):
        decode(covered + chain_hash(NO_CHAIN, covered).encode(), NO_CHAIN)


def test_the_stamp_is_in_the_record() -> None:
    record = Record("PUT", "n", 1, 5, "b", attributes={"logical": 3, "version": "V"}, epoch="e")
    assert record.stamp == Stamp(5, 3, "n", "e")
    assert record.version == "V"
