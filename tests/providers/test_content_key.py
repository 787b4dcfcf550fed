"""How a conversation begins is what it is recognised by, and no two beginnings are taken for each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floway.providers.codex.protocol.content_key import content_key
from tests.providers.factories import user


def as_uuid(digest: str) -> str:
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


@pytest.mark.parametrize(
    ("instructions", "first", "expected"),
    [
        ("You are helpful.", {"type": "message", "role": "user", "content": "hello"}, "437ccba9-1808-4270-9ab4-eeb6aa354c55"),
        (None, {"type": "message", "role": "user", "content": "hello"}, "fb3879e1-33cd-4544-bf45-15fcb82bb80c"),
        (None, "hello", "104a4b34-296b-4959-9e15-2908ebfd22ea"),
        ("Sys.", {"type": "compaction", "id": "cmp_a", "encrypted_content": "ENC"}, "db6164f9-5f47-46fa-9700-ef73d7af3948"),
        ("é", {"type": "message", "role": "user", "content": "日本"}, "45075584-86ce-4eaa-809b-de8ca70e024f"),
    ],
)
def test_content_keys_are_those_of_the_vectors(instructions: str | None, first: Any, expected: str) -> None:
    body: dict[str, Any] = {"input": first if isinstance(first, str) else [first, user("later")]}
    if instructions is not None:
        body["instructions"] = instructions
    key = content_key(body)
    assert key is not None
    assert as_uuid(key) == expected


def test_instructions_that_end_in_an_items_json_dont_meet_another_conversation() -> None:
    item, other = user("one"), user("two")
    crafted = "Sys.\u0001" + json.dumps(item, separators=(",", ":"))
    keys = [
        content_key({"instructions": "Sys.", "input": [item]}),
        content_key({"instructions": crafted, "input": [other]}),
        content_key({"instructions": crafted, "input": [item]}),
    ]
    assert len(set(keys)) == 3


contents = st.text(alphabet='a\u0001"{}:,\\é', max_size=12)


@given(contents, contents, contents, contents)
def test_different_beginnings_have_different_keys(one: str, first: str, two: str, second: str) -> None:
    same = (one, first) == (two, second)
    left = content_key({"instructions": one, "input": [user(first)]})
    right = content_key({"instructions": two, "input": [user(second)]})
    assert (left == right) is same
