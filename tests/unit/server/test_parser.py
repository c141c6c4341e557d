"""llhttp as we drive it: the same for every way to cut the bytes, and nothing after the end is eaten."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironbucket.server.answers import Refusal
from ironbucket.server.limits import Limits
from ironbucket.server.parser import ChunkedDecoder, HeadParser

LIMITS = Limits()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(CUTS, st.binary(max_size=40))
def test_a_head_in_any_pieces(cuts: list[int], after: bytes) -> None:
    head = b"GET /b/k?q HTTP/1.1\r\nHost: t\r\nX-Empty:\r\nX-A: one two\r\n\r\n"
    parser = HeadParser(LIMITS)
    rest = None
    for piece in pieces(head + after, cuts):
        if rest is None:
            rest = parser.feed(piece)
        else:
            rest += piece
    assert rest == after
    assert parser.events.target == b"/b/k?q"
    assert parser.events.headers == [(b"Host", b"t"), (b"X-Empty", b""), (b"X-A", b"one two")]
    assert (parser.method(), parser.version()) == ("GET", "1.1")


@given(
    st.lists(st.one_of(st.binary(min_size=1, max_size=50), st.just(b"\r\n\r\n"), st.just(b"0\r\n\r\n")), max_size=8),
    CUTS,
    st.binary(max_size=40),
    st.booleans(),
)
def test_a_chunked_body_in_any_pieces(chunks: list[bytes], cuts: list[int], after: bytes, trailer: bool) -> None:
    text = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    text += b"0\r\nX-T: v \r\n\r\n" if trailer else b"0\r\n\r\n"
    decoder = ChunkedDecoder(LIMITS)
    body, rest = [], b""
    for piece in pieces(text + after, cuts):
        if decoder.complete:
            rest += piece
        else:
            rest = decoder.feed(piece)
        body += decoder.take()
    assert decoder.complete
    assert b"".join(body) == b"".join(chunks)
    assert rest == after
    assert decoder.trailers == ([(b"x-t", b"v")] if trailer else [])


@pytest.mark.parametrize(
    "text",
    [
        b"3 \r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"3\nabc\n0\n\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"g\r\n",
        b"\r\n\r\n",
        b"0\r\nX : v\r\n\r\n",
        b"0\r\n\nX: v\r\n\r\n",
    ],
)
def test_malformed_chunks(text: bytes) -> None:
    for data in ([text], [text[n : n + 1] for n in range(len(text))]):
        decoder = ChunkedDecoder(LIMITS)
        with pytest.raises(Refusal):
            for piece in data:
                decoder.feed(piece)
            assert decoder.complete


def test_chunks_may_not_be_mostly_framing() -> None:
    decoder = ChunkedDecoder(LIMITS)
    with pytest.raises(Refusal):
        for _ in range(100):
            decoder.feed(b"1;" + b"x" * 1000 + b"\r\nb\r\n")


def test_trailers_are_limited() -> None:
    decoder = ChunkedDecoder(LIMITS)
    with pytest.raises(Refusal, match="431"):
        decoder.feed(b"0\r\n" + b"X: y\r\n" * 102)


def test_a_parser_is_fit_again_after_a_refusal() -> None:
    parser = HeadParser(LIMITS)
    with pytest.raises(Refusal):
        parser.whole(b"GET / HTTP/9.9\r\n\r\n")
    parser.renew()
    parser.whole(b"GET /x HTTP/1.1\r\n\r\n")
    assert parser.events.target == b"/x"
