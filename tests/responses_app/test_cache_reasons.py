"""Why a cache missed: every cause by itself, which one is named where several are true, and what is no miss at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from floway.providers.contract import PromptCache
from responses_app.cache_reasons import Cause, Turn, explain

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CACHE = PromptCache(smallest=1024, step=128, kept=timedelta(minutes=5), longest=timedelta(hours=1))
BEFORE = Turn(
    conversation_id=1,
    credential_id=1,
    model="m",
    generation=0,
    stored=True,
    input_tokens=10_000,
    cached_tokens=0,
    started_at=NOW - timedelta(minutes=2),
    ended_at=NOW - timedelta(minutes=1),
    input_items=4,
    known_items=0,
    length=6,
    preamble={"instructions": "a", "tools": "b"},
)
TURN = replace(BEFORE, input_tokens=12_000, started_at=NOW, ended_at=None, input_items=8, known_items=6, length=None)


def cause(over: dict[str, Any], before: dict[str, Any] | None = None) -> Cause:
    return explain(replace(TURN, **over), replace(BEFORE, **(before or {})), CACHE).cause


@pytest.mark.parametrize(
    ("over", "before", "expected"),
    [
        ({}, {}, Cause.UPSTREAM),
        ({"cached_tokens": None}, {}, Cause.UNTOLD),
        ({"input_tokens": None}, {}, Cause.UNTOLD),
        ({"conversation_id": 2}, {}, Cause.NEW_SESSION),
        ({}, {"input_tokens": 1_100, "length": None}, Cause.UPSTREAM),
        ({}, {"input_tokens": 1_023}, Cause.TOO_SHORT),
        ({"credential_id": 2}, {}, Cause.OTHER_CREDENTIAL),
        ({"credential_id": None}, {}, Cause.OTHER_CREDENTIAL),
        ({"model": "n"}, {}, Cause.OTHER_MODEL),
        ({"preamble": {"instructions": "a", "tools": "c"}}, {}, Cause.PREFIX_CHANGED),
        ({"preamble": {"instructions": "a"}}, {}, Cause.PREFIX_CHANGED),
        ({"preamble": None}, {}, Cause.UPSTREAM),
        ({"left_out": frozenset({"input[3]"})}, {}, Cause.PREFIX_CHANGED),
        ({"known_items": 3}, {}, Cause.PREFIX_CHANGED),
        ({"known_items": 0}, {}, Cause.PREFIX_CHANGED),
        ({"generation": 1}, {}, Cause.OTHER_WINDOW),
        ({}, {"compacted": True}, Cause.OTHER_WINDOW),
        ({}, {"ended_at": NOW - timedelta(minutes=5)}, Cause.TOO_OLD),
        ({}, {"ended_at": NOW - timedelta(minutes=4, seconds=59)}, Cause.UPSTREAM),
    ],
)
def test_each_cause_is_named(over: dict[str, Any], before: dict[str, Any], expected: Cause) -> None:
    assert cause(over, before) is expected


@pytest.mark.parametrize(
    ("over", "before"),
    [
        # A shorter input whose items were all said before has changed nothing: somebody goes back to an earlier turn.
        ({"input_items": 4, "known_items": 4}, {}),
        # Turns that keep no content leave traces of their own, which say nothing about those that do.
        ({"stored": False, "known_items": 0}, {}),
        # What is continued by its id cannot differ.
        ({"known_items": None}, {}),
        # The turn before left no snapshot to compare with.
        ({"known_items": 0}, {"length": None}),
    ],
)
def test_what_only_looks_like_a_changed_prefix_is_none(over: dict[str, Any], before: dict[str, Any]) -> None:
    assert cause(over, before) is Cause.UPSTREAM


@pytest.mark.parametrize(
    ("over", "before", "expected"),
    [
        # A cache belongs to an account: whatever else changed, the other login alone explains everything.
        ({"credential_id": 2, "model": "n", "known_items": 0, "generation": 1}, {}, Cause.OTHER_CREDENTIAL),
        # Another model's cache is another one, wherever its prompt differs.
        ({"model": "n", "known_items": 0}, {}, Cause.OTHER_MODEL),
        # What differs in the prompt is sure; that a window or an hour's rest loses a cache is only likely.
        ({"known_items": 2, "generation": 1}, {"ended_at": NOW - timedelta(hours=2)}, Cause.PREFIX_CHANGED),
        ({"generation": 1}, {"ended_at": NOW - timedelta(hours=2)}, Cause.OTHER_WINDOW),
    ],
)
def test_of_several_causes_the_surest_is_named(over: dict[str, Any], before: dict[str, Any], expected: Cause) -> None:
    assert cause(over, before) is expected


@pytest.mark.parametrize(
    ("cached", "is_miss"),
    [(9_984, False), (9_856, False), (9_855, True), (9_000, True), (12_000, False), (0, True)],
)
def test_a_miss_begins_where_more_than_one_step_is_lost(cached: int, is_miss: bool) -> None:
    reason = explain(replace(TURN, cached_tokens=cached), BEFORE, CACHE)
    assert reason.cause.is_miss is is_miss
    assert reason.lost == (9_984 - cached if is_miss else 0)


def test_a_partial_hit_is_explained_as_one() -> None:
    reason = explain(replace(TURN, cached_tokens=5_120, known_items=4), BEFORE, CACHE)
    assert (reason.cause, reason.partial, reason.position) == (Cause.PREFIX_CHANGED, True, 4)
    assert reason.word == "prefix changed, in part"
    assert "input[4] differs from what was said before (6 items)" in reason.detail


def test_a_shorter_prompt_can_only_find_what_it_is_long() -> None:
    assert not explain(replace(TURN, input_tokens=3_000, cached_tokens=2_944), BEFORE, CACHE).cause.is_miss


def test_a_first_turn_is_a_new_session_unless_others_begin_alike() -> None:
    alone = explain(replace(TURN, cached_tokens=0), None, CACHE)
    assert (alone.cause, alone.lost) == (Cause.NEW_SESSION, 12_000)
    assert explain(replace(TURN, cached_tokens=2_048), None, CACHE).cause is Cause.NONE


def test_age_is_told_with_the_life_that_the_provider_declares() -> None:
    reason = explain(TURN, replace(BEFORE, ended_at=NOW - timedelta(minutes=42)), CACHE)
    assert reason.detail == "Last used 42 min before; the upstream keeps a beginning for 5 min at least, 60 min at most."


def test_without_a_declared_cache_nothing_is_too_short_or_too_old() -> None:
    old = replace(BEFORE, input_tokens=500, ended_at=NOW - timedelta(days=9))
    assert explain(TURN, old, None).cause is Cause.UPSTREAM
    assert explain(replace(TURN, cached_tokens=500), old, None).cause is Cause.NONE


def test_the_changed_parts_before_the_items_are_named() -> None:
    reason = explain(replace(TURN, preamble={"instructions": "x", "tools": "b", "text": "c"}), BEFORE, CACHE)
    assert reason.detail == "Before the first item: instructions and the output's format are others than in the turn before."
