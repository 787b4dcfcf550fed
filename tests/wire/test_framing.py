"""HTTP/1.1 body framing, cut at every position."""

from __future__ import annotations

import pytest

from floway.wire.framing import Body, BrokenFraming, ChunkedBody, SizedBody, UnsizedBody

CHUNKED = b"5\r\nhello\r\n1;ext=1\r\n!\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
PLAIN = b"hello!0123456789"


@pytest.mark.parametrize("cut", range(1, len(CHUNKED)))
def test_a_chunked_body_cut_anywhere_is_the_same_body(cut: int) -> None:
    body = ChunkedBody()
    out = body.feed(CHUNKED[:cut])
    assert not body.done
    assert out + body.feed(CHUNKED[cut:]) == PLAIN
    assert body.done


def test_a_chunked_body_byte_by_byte_gives_each_byte_at_once() -> None:
    body = ChunkedBody()
    pieces = [body.feed(CHUNKED[n : n + 1]) for n in range(len(CHUNKED))]
    assert b"".join(pieces) == PLAIN
    assert pieces[3] == b"h", "nothing waits for the end of its chunk"


@pytest.mark.parametrize("broken", [b"x\r\n", b"\r\n", b"-1\r\n", b"1\r\nab\r\n", b"fffffffff\r\n", b"1" * 20000])
def test_broken_chunks_are_refused(broken: bytes) -> None:
    body = ChunkedBody()
    with pytest.raises(BrokenFraming):
        body.feed(broken)


def test_a_sized_body_ends_at_its_size_and_not_beyond() -> None:
    body = SizedBody(4)
    assert (body.feed(b"ab"), body.done, body.feed(b"cd"), body.done) == (b"ab", False, b"cd", True)
    assert not body.overran
    assert (body.feed(b"e"), body.overran) == (b"", True)
    assert SizedBody(0).done


@pytest.mark.parametrize(("body", "data"), [(SizedBody(2), b"okmore"), (ChunkedBody(), b"2\r\nok\r\n0\r\n\r\nmore")])
def test_what_comes_behind_the_end_costs_nothing_of_the_body(body: Body, data: bytes) -> None:
    assert (body.feed(data), body.done, body.overran) == (b"ok", True, True)
    assert (body.feed(b"2\r\nno\r\n"), body.done) == (b"", True)


def test_an_unsized_body_lasts_as_long_as_its_connection() -> None:
    body = UnsizedBody()
    assert body.feed(b"x") == b"x"
    assert not body.done
    assert body.ends_with_connection
