"""Frames come out of bytes the same however the bytes were cut and whichever line ends they use."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floway.wire.sse import Frame, FrameDecoder, FrameTooLarge, encode, parsed

STREAM = (
    b"\xef\xbb\xbf: hello\n\n"
    b'event: a\ndata: {"x":1}\n\n'
    b'event: a\ndata: {"x":2}\n\n'
    b"\n\n\n: comment\nevent: b\n: another\ndata: one\ndata\ndata:two\nid: 7\n\n"
    b"data: alone\n\n"
    b"event: empty\n\n"
    b"retry: 5\n\n"
    b"data\n\n"
    b"event:\ndata: \xc3\xa9\n\n"
    b"data: never dispatched\n"
)
FRAMES = [
    Frame(b'event: a\ndata: {"x":1}\n\n', "a", b'{"x":1}'),
    Frame(b'event: a\ndata: {"x":2}\n\n', "a", b'{"x":2}'),
    Frame(b"event: b\ndata: one\ndata\ndata:two\nid: 7\n\n", "b", b"one\n\ntwo"),
    Frame(b"data: alone\n\n", None, b"alone"),
    Frame(b"event: empty\n\n", "empty", None),
    Frame(b"retry: 5\n\n", None, None),
    Frame(b"data\n\n", None, b""),
    Frame(b"event:\ndata: \xc3\xa9\n\n", None, b"\xc3\xa9"),
]
LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def decoded(*chunks: bytes, limit: int = 1 << 20) -> list[Frame]:
    decoder = FrameDecoder(limit)
    return [frame for chunk in chunks for frame in decoder.feed(chunk)]


@pytest.mark.parametrize("end", LINE_ENDS)
def test_a_stream_cut_in_two_anywhere_gives_the_same_frames(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    for at in range(len(stream) + 1):
        assert decoded(stream[:at], stream[at:]) == FRAMES


@pytest.mark.parametrize("end", LINE_ENDS)
def test_a_stream_in_single_bytes_gives_the_same_frames(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    assert decoded(*(stream[at : at + 1] for at in range(len(stream)))) == FRAMES


@given(st.lists(st.integers(0, len(STREAM))), st.sampled_from(LINE_ENDS))
def test_any_chunking_gives_the_same_frames(cuts: list[int], end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    edges = [0, *sorted(cuts), len(stream)]
    assert decoded(*(stream[a:b] for a, b in itertools.pairwise(edges))) == FRAMES


def test_a_carriage_return_alone_ends_a_line_at_once() -> None:
    assert decoded(b"data: x\r\r") == [Frame(b"data: x\n\n", None, b"x")]


def test_a_stream_that_ends_inside_a_frame_says_so() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"data: x\n\n")
    assert not decoder.finish()
    decoder.feed(b"data: y\n")
    assert decoder.finish()


def test_only_a_leading_byte_order_mark_is_left_out() -> None:
    assert decoded(b"\xef\xbb\xbfdata: \xef\xbb\xbf\n\n")[0].data == b"\xef\xbb\xbf"
    assert decoded(b"\xef", b"\xbb", b"data: x\n\n")[0].data is None


def test_a_name_that_is_not_utf8_does_not_break_the_stream() -> None:
    assert [frame.event for frame in decoded(b"event: \xff\ndata: 1\n\n" * 2)] == ["\ufffd", "\ufffd"]


@pytest.mark.parametrize("filler", [b"data: " + b"a" * 200, b": comment\n" * 30, b"data: a\n" * 30, b"x" * 200])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_frame_past_the_limit_is_refused_while_it_grows(filler: bytes, size: int) -> None:
    stream = b"data: before\n\n" + filler
    decoder = FrameDecoder(limit=100)
    seen: list[Frame] = []
    with pytest.raises(FrameTooLarge) as caught:
        for at in range(0, len(stream), size):
            seen += decoder.feed(stream[at : at + size])
    before = [*seen, *map(parsed, caught.value.bodies)]
    assert [frame.data for frame in before if frame is not None] == [b"before"]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("length", "fits"), [(100, True), (101, False)])
def test_the_limit_is_exact_however_the_bytes_are_cut(length: int, fits: bool, size: int) -> None:
    stream = b"data: " + b"a" * (length - 6) + b"\n\n"
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    if fits:
        assert len(decoded(*chunks, limit=100)) == 1
    else:
        with pytest.raises(FrameTooLarge):
            decoded(*chunks, limit=100)


def test_blank_lines_and_finished_comments_never_count_towards_the_limit() -> None:
    assert decoded(*[b"\n"] * 500, *[b": ping\n\n"] * 500, b"data: x\n\n", limit=20)[0].data == b"x"


def test_a_large_frame_in_many_small_chunks_arrives_whole() -> None:
    body = b"a" * 1_000_000
    stream = b"event: big\ndata: " + body + b"\n\n"
    assert decoded(*(stream[at : at + 5] for at in range(0, len(stream), 5)))[0].data == body


def test_an_encoded_frame_is_one_line_of_data() -> None:
    raw = encode("response.x", {"a": "line\nbreak \r é"})
    assert raw == 'event: response.x\ndata: {"a":"line\\nbreak \\r é"}\n\n'.encode()
    assert decoded(raw) == [Frame(raw, "response.x", raw[24:-2])]
