"""Bodies that mean harm: too large, inflating without end, JSON that some later hop would choke on."""

from __future__ import annotations

import gzip
import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard
from pytest_django import Settings

from tests.conftest import Gateway
from tests.fakes.caller import Reply, text_of, turn
from tests.fakes.upstream import FakeUpstream

LIMIT = 100_000
QUESTION = json.dumps(turn("hello")).encode()


@pytest.fixture
def limited(gateway: Gateway, settings: Settings) -> Gateway:
    settings.FLOWAY_MAX_BODY_BYTES = LIMIT
    return gateway


def sized(count: int) -> bytes:
    bare = len(json.dumps(turn("")))
    return json.dumps(turn("x" * (count - bare))).encode()


def refused(reply: Reply, status: int) -> bool:
    return (reply.status, reply.error["type"]) == (status, "invalid_request_error")


def test_a_body_at_the_limit_is_served_and_one_byte_more_is_413(limited: Gateway, upstream: FakeUpstream) -> None:
    assert limited.post(sized(LIMIT)).status == 200
    reply = limited.post(sized(LIMIT + 1))
    assert refused(reply, 413)
    assert reply.error["code"] == "request_too_large"
    assert len(upstream.turns) == 1


def test_a_length_over_the_limit_is_refused_before_the_body_is_read(limited: Gateway) -> None:
    reply = limited.send("POST", "/v1/responses", b"", limited.headers({}) | {"content-length": "99999999999"})
    assert refused(reply, 413)


def test_chunks_are_read_no_further_than_the_limit(limited: Gateway) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 200 * LIMIT:
            sent += 10_000
            yield b"x" * 10_000

    try:
        reply = limited.send("POST", "/v1/responses", endless(), limited.headers({}))
        assert refused(reply, 413)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the gateway hung up while we were still writing
    assert sent < 200 * LIMIT


def test_a_chunked_body_within_the_limit_is_served(limited: Gateway) -> None:
    assert limited.send("POST", "/v1/responses", iter([QUESTION[:10], QUESTION[10:]]), limited.headers({})).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bodies_are_understood(gateway: Gateway, encoding: str) -> None:
    packed = gzip.compress(QUESTION) if encoding == "gzip" else zstandard.compress(QUESTION)
    reply = gateway.post(packed, content_encoding=encoding)
    assert "hello" in text_of(reply.json)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_413_without_being_inflated(limited: Gateway, encoding: str) -> None:
    zeros = b"\0" * (300 * 1024 * 1024)
    bomb = gzip.compress(zeros, 9)[: LIMIT - 1] if encoding == "gzip" else zstandard.compress(zeros)
    del zeros
    assert len(bomb) < LIMIT
    assert refused(limited.post(bomb, content_encoding=encoding), 413)


def test_a_zstd_frame_with_a_huge_window_is_refused(gateway: Gateway) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    noise = random.Random(0).randbytes(1024)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert refused(gateway.post(packer.compress(noise) + packer.flush(), content_encoding="zstd"), 400)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(QUESTION)[:-9]),
        ("gzip", gzip.compress(QUESTION) + b"more"),
        ("zstd", b"not zstd"),
        ("zstd", zstandard.compress(QUESTION)[:-3]),
        ("zstd", zstandard.compress(QUESTION[:20]) + zstandard.compress(QUESTION[20:])),
        ("zstd", zstandard.compress(QUESTION) + zstandard.compress(b" ")),
        ("zstd", zstandard.compress(QUESTION) + b" "),
        ("zstd", b""),
    ],
)
def test_broken_compression_is_400(gateway: Gateway, encoding: str, body: bytes) -> None:
    assert refused(gateway.post(body, content_encoding=encoding), 400)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip,zstd", "zstd, identity", "compress"])
def test_other_and_stacked_encodings_are_415(gateway: Gateway, encoding: str) -> None:
    assert refused(gateway.post(QUESTION, content_encoding=encoding), 415)


def nested(depth: int) -> bytes:
    return b'{"model":"gpt-5.5","input":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        nested(3_000),
        nested(10_000),
        b'{"model":"gpt-5.5","input":"x","temperature":NaN}',
        b'{"model":"gpt-5.5","input":"x","temperature":Infinity}',
        b'{"model":"gpt-5.5","input":"\\ud800"}',
        b'{"model":"gpt-5.5","input":"a\\u0000b"}',
        b'{"model":"gpt-5.5","input":"a","metadata":{"\\u0000":"b"}}',
        b'{"model":"gpt-5.5","input":"\xff\xfe"}',
        b"\xef\xbb\xbf{}",
        b'{"model":"gpt-5.5","input":"x"} trailing',
    ],
    ids=range(15),
)
def test_json_that_a_later_hop_would_choke_on_is_400(gateway: Gateway, upstream: FakeUpstream, body: bytes) -> None:
    reply = gateway.post(body)
    assert refused(reply, 400), reply.body
    assert upstream.turns == []


@pytest.mark.parametrize(
    "over",
    [
        {"stream": "yes"},
        {"store": "no"},
        {"metadata": 5},
        {"instructions": 5},
        {"tools": 5},
        {"tools": [5]},
        {"include": 5},
        {"reasoning": 5},
        {"text": 5},
        {"client_metadata": 5},
        {"prompt_cache_key": 5},
        {"prompt_cache_key": "a\r\nx-evil: 1"},
        {"parallel_tool_calls": "x"},
    ],
    ids=str,
)
def test_values_of_a_wrong_kind_never_end_in_a_500(gateway: Gateway, upstream: FakeUpstream, over: dict[str, Any]) -> None:
    upstream.distinct_ids = True
    assert gateway.post({**turn("hello"), **over}).status in {200, 400}
    assert all(name != "x-evil" for request in upstream.turns for name, _ in request.headers)


@pytest.mark.parametrize("digits", [19, 20, 400, 5000])
def test_very_long_numbers_never_end_in_a_500(gateway: Gateway, digits: int) -> None:
    body = b'{"model":"gpt-5.5","input":"hello","seed":' + b"9" * digits + b"}"
    assert gateway.post(body).status in {200, 400}


def test_a_key_that_stands_twice_counts_once(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.post(b'{"model":"gpt-nonsense","model":"gpt-5.5","input":"x","input":"hello"}')
    assert reply.status == 200
    assert reply.json["model"] == upstream.bodies[0]["model"] == "gpt-5.5"


def test_very_many_keys_are_only_slow(gateway: Gateway) -> None:
    body = turn("hello", metadata={str(number): "x" for number in range(100_000)})
    assert gateway.post(body).status in {200, 400}


def test_deep_json_within_bounds_passes(gateway: Gateway, upstream: FakeUpstream) -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"properties": {"x": deep}}
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", **deep}}
    assert gateway.say("hello", tools=[tool]).status == 200
    assert upstream.bodies[0]["tools"][0]["parameters"] == {"type": "object", **deep}


def test_a_picture_or_file_by_its_url_is_passed_on_and_never_fetched(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.settimeout(0.05)
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/canary.png"
        content = [{"type": "input_image", "image_url": url}, {"type": "input_file", "file_url": url}]
        assert gateway.post({"model": "gpt-5.5", "input": [{"role": "user", "content": content}]}).status == 200
        with pytest.raises(TimeoutError):
            bait.accept()
    assert json.dumps(upstream.bodies[0]).count(url) == 2
