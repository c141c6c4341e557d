"""The format of a batch: it comes back as it was sent, and nothing else is taken for it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironbucket.replication import wire
from ironbucket.wal.record import CREATE_BUCKET, DELETE, PUT
from tests.unit.replication.served import VERSION, Log, filled

payloads = st.one_of(st.binary(max_size=300), st.sampled_from([wire.SENT, wire.GONE]))
keys = st.text(min_size=1, max_size=40)


@given(st.lists(st.tuples(keys, payloads), max_size=8))
def test_a_batch_comes_back_as_it_was_sent(content: list[tuple[str, bytes | str]]) -> None:
    log = Log()
    for key, payload in content:
        log.add(PUT, "photos", key, payload, version=VERSION)
        log.add(DELETE, "photos", key, version=VERSION)
    other = filled()
    other.node = "node-8"
    pieces = [log.piece(), Log(node="node-7").piece(), filled().piece(1)]
    found = wire.parse(wire.encode(pieces))
    assert [piece.header for piece in found] == [piece.header for piece in pieces]
    for piece, sent in zip(found, pieces, strict=True):
        assert [(e.line.raw, e.line.record, e.line.chain, e.payload) for e in piece.entries] == [
            (e.line.raw, e.line.record, e.line.chain, e.payload) for e in sent.entries
        ]


def test_every_truncation_is_noticed() -> None:
    batch = filled().batch()
    for length in range(len(batch)):
        with pytest.raises(wire.CorruptBatch):
            wire.parse(batch[:length])


@settings(max_examples=600)
@given(st.data())
def test_a_flipped_bit_is_noticed_wherever_a_record_has_it(data: st.DataObject) -> None:
    """Payloads are compared with the ETag in the record; all else is covered by the chain or has one form."""
    log = filled()
    batch = bytearray(log.batch())
    at = data.draw(st.integers(0, len(batch) - 1))
    batch[at] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(wire.CorruptBatch):
        (piece,) = wire.parse(bytes(batch))
        assert [entry.line.raw for entry in piece.entries] == [entry.line.raw for entry in log.entries]


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(wire.CorruptBatch):
        wire.parse(data)
    with pytest.raises(wire.CorruptBatch):
        wire.parse(filled().piece().header.encode() + data)


@pytest.mark.parametrize(
    "payload", [b"9" * 5000, b"99999999999", b"-1", b"", b"x", b"7", b"1\t2"], ids=lambda payload: payload[:12].decode()
)
def test_a_payload_of_no_possible_size_is_refused(payload: bytes) -> None:
    log = Log()
    log.add(PUT, "photos", "k", None, version=VERSION)
    batch = log.batch().replace(b"# end", b"# payload\t" + payload + b"\nabc\n# end")
    with pytest.raises(wire.CorruptBatch):
        wire.parse(batch)


def test_a_payload_belongs_to_a_put() -> None:
    log = Log()
    log.add(CREATE_BUCKET, "photos")
    batch = log.batch().replace(b"# end", b"# payload\t1\nx\n# end")
    with pytest.raises(wire.CorruptBatch, match="without its record"):
        wire.parse(batch)
