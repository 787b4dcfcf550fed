"""A caller that sends its whole history anew: what is stored grows by what is new, and a changed item is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from responses_app.diagnosis import Difference, first_difference
from responses_app.models import Conversation, Item, SegmentEntry
from tests.conftest import Gateway

TURNS = 20
SEALING = 200
"""Bytes that sealing an item may add to it."""


@dataclass(frozen=True)
class Stored:
    entries: int
    items: int
    bytes: int

    @classmethod
    def now(cls) -> Stored:
        sizes = [len(sealed) for sealed in Item.objects.values_list("sealed", flat=True)]
        return cls(SegmentEntry.objects.count(), len(sizes), sum(sizes))


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


@pytest.mark.parametrize("store", [True, False])
def test_what_a_turn_stores_does_not_grow_with_the_history_sent_anew(gateway: Gateway, store: bool) -> None:
    history: list[Any] = []
    before = Stored.now()
    for turn in range(TURNS):
        history.append(said(f"turn {turn}"))
        reply = gateway.post({"model": "gpt-5.5", "input": history, "store": store})
        assert reply.status == 200, reply.body
        output = reply.json["output"]
        exchange, after = gateway.exchange(), Stored.now()
        assert (exchange.input_items, exchange.known_items) == (len(history), len(history) - 1)
        assert first_difference(exchange) is None
        new = [history[-1], *output]
        assert after.entries - before.entries == len(new)
        assert after.items - before.items == (len(new) if store else 0)
        assert after.bytes - before.bytes <= (sum(len(json.dumps(item)) + SEALING for item in new) if store else 0)
        history += output
        before = after
    assert Conversation.objects.count() == 1


def test_an_item_changed_on_the_way_is_named(gateway: Gateway) -> None:
    history = [said("one"), *gateway.post({"model": "gpt-5.5", "input": [said("one")]}).json["output"]]
    assert first_difference(gateway.exchange()) is None
    gateway.post({"model": "gpt-5.5", "input": [*history[:-1], {"role": "assistant", "content": "edited"}, said("two")]})
    assert first_difference(gateway.exchange()) == Difference(position=len(history) - 1, known=len(history))


def test_a_continuation_knows_all_that_it_continues(gateway: Gateway) -> None:
    first = gateway.say("one").json
    gateway.say("two", previous=first["id"])
    exchange = gateway.exchange()
    assert (exchange.input_items, exchange.known_items) == (len(first["output"]) + 2, len(first["output"]) + 1)
    assert first_difference(exchange) is None
