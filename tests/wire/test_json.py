"""Hostile JSON is refused as JSON, never by a crash further on."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floway.wire.json import InvalidJSON, dumps, dumps_ascii, dumps_canonical, loads, mend

REFUSED = {
    "nothing": b"",
    "a lone surrogate": rb'{"a":"\ud83d"}',
    "a lone low surrogate": rb'"\ude00"',
    "U+0000": rb'["\u0000"]',
    "U+0000 in a key": rb'{"\u0000":1}',
    "NaN": b"NaN",
    "Infinity": b'{"a":Infinity}',
    "3,000 levels": b"[" * 3000 + b"]" * 3000,
    "3,000 levels of objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "more levels than can be written again": b"[" * 255 + b"]" * 255,
    "invalid UTF-8": b'"\xff"',
    "a number beyond every float": b"1" + b"0" * 400,
    "a float beyond every float": b"1e999",
    "two documents": b"{} {}",
    "a trailing comma": b"[1,]",
    "half an object": b'{"a":',
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_hostile_json_is_refused_without_being_quoted(data: bytes) -> None:
    with pytest.raises(InvalidJSON) as caught:
        loads(data)
    assert len(str(caught.value)) < 100


def test_duplicate_keys_are_taken_the_last_one_wins() -> None:
    assert loads(b'{"a":1,"a":2}') == {"a": 2}


def test_an_escaped_escape_is_no_nul() -> None:
    assert loads(rb'"\\u0000"') == "\\u0000"


@pytest.mark.parametrize("data", [b"18446744073709551616", b"-9223372036854775809", b"9" * 300])
def test_a_huge_integer_becomes_a_number_that_can_be_written(data: bytes) -> None:
    assert math.isclose(loads(dumps(loads(data))), float(data))


@pytest.mark.parametrize("depth", [200, 238])
def test_what_is_read_can_be_written_inside_something_else(depth: int) -> None:
    value = loads(b"[" * depth + b"]" * depth)
    assert dumps({"response": {"input": [{"content": value}]}})


@given(st.binary(max_size=60) | st.text(alphabet='[]{}":,\\u0dDe18. naN', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_and_what_is_read_is_writable(data: bytes) -> None:
    for read in (loads, mend):
        try:
            value = read(data)
        except InvalidJSON:
            continue
        assert dumps_canonical(loads(dumps(value))) == dumps_canonical(value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_ascii_form_means_the_same(text: str) -> None:
    written = dumps_ascii({"a": text})
    assert written.isascii()
    assert json.loads(written) == {"a": text}


def test_equal_objects_have_one_canonical_form() -> None:
    assert dumps_canonical({"b": 1, "a": 2}) == dumps_canonical({"a": 2, "b": 1}) == b'{"a":2,"b":1}'


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'{"a":"x\ud83dy"}', {"a": "x\ufffdy"}),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'["\u0000"]', ["\ufffd"]),
        (rb'{"\u0000":[1,2.5,true,null]}', {"\ufffd": [1, 2.5, True, None]}),
        (b'"\xff"', "\ufffd"),
        (rb'["\ud83d",18446744073709551616]', ["\ufffd", 2.0**64]),
    ],
)
def test_an_upstreams_unstorable_characters_are_replaced(data: bytes, value: object) -> None:
    assert mend(data) == value


@pytest.mark.parametrize(
    "data",
    [b"NaN", b"[" * 3000 + b"]" * 3000, rb'["\ud83d",1e999]', b"1e999", b"9" * 400, b"9" * 5000, b"{", b"[" * 300 + b"]" * 300],
)
def test_an_upstreams_broken_json_stays_broken(data: bytes) -> None:
    with pytest.raises(InvalidJSON):
        mend(data)
