"""A number is replaced in the bytes of its event, and nothing that only looks like it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floway.wire.json import InvalidJSON
from floway.wire.numbering import renumbered


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"type":"x","sequence_number":7}', b'{"type":"x","sequence_number":42}'),
        (b'{"sequence_number":7,"type":"x"}', b'{"sequence_number":42,"type":"x"}'),
        (b'{"delta":"a, b} c","sequence_number":7}', b'{"delta":"a, b} c","sequence_number":42}'),
        (b'{"type":"x"}', b'{"sequence_number":42,"type":"x"}'),
        (rb'{"delta":"\"sequence_number\":5","sequence_number":7}', rb'{"delta":"\"sequence_number\":5","sequence_number":42}'),
        (
            rb'{"sequence_number":7,"delta":"{\"sequence_number\":5}"}',
            rb'{"sequence_number":42,"delta":"{\"sequence_number\":5}"}',
        ),
        (b'{"sequence_number":1,"delta":"{ {"}', b'{"sequence_number":42,"delta":"{ {"}'),
        (rb'{"delta":"\\","sequence_number":7}', rb'{"delta":"\\","sequence_number":42}'),
    ],
)
def test_the_bytes_around_the_number_stay(data: bytes, expected: bytes) -> None:
    assert renumbered(data, 42) == expected


@pytest.mark.parametrize(
    "payload",
    [
        {"part": {"sequence_number": 5}, "sequence_number": 7},
        {"sequence_number": 7, "part": {"sequence_number": 5}},
        {"part": {"sequence_number": 5}},
        {"delta": "sequence_number", "sequence_number": 7},
        {"delta": "sequence_number"},
        {'a"sequence_number': 5, "sequence_number": 7},
        {"sequence_number": -7},
        {"sequence_number": 7.5},
        {"sequence_number": None, "a": 1},
        {"sequence_number": "7,8"},
        {"sequence_number": {"sequence_number": 1}},
        {"": {}},
        {},
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",\n", ":")])
def test_only_the_payloads_own_number_changes(payload: dict[str, Any], separators: tuple[str, str]) -> None:
    out = renumbered(json.dumps(payload, separators=separators).encode(), 42)
    assert json.loads(out) == {**payload, "sequence_number": 42}
    assert b"\n" not in out


_TRICKY = st.sampled_from(
    ["sequence_number", '"sequence_number":5', '\\"sequence_number":', "{", "}", ",", "\\", '"', "5", "a"]
)
_TEXT = st.lists(_TRICKY).map("".join)
_VALUE = st.recursive(_TEXT | st.integers(0, 99), lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=8)


@given(st.dictionaries(_TEXT, _VALUE, max_size=5), st.integers(0, 10**9))
def test_crafted_text_never_takes_the_number(payload: dict[str, Any], number: int) -> None:
    assert json.loads(renumbered(json.dumps(payload, separators=(",", ":")).encode(), number)) == {
        **payload,
        "sequence_number": number,
    }


@pytest.mark.parametrize("data", [b"", b"[1]", b'"sequence_number"', b'{"a":{"sequence_number":1}'])
def test_what_is_no_object_cannot_be_numbered(data: bytes) -> None:
    with pytest.raises(InvalidJSON):
        renumbered(data, 1)
