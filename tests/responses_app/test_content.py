"""Items at rest: expanded as they were given, stored once, found by their prefix, unreadable to others."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import ApiKey
from floway.sealing import CannotUnseal
from responses_app import content
from responses_app.models import Conversation, Item, Segment, SegmentEntry, Snapshot

pytestmark = pytest.mark.django_db(transaction=True)


def message(text: str, **extra: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": text, **extra}


def make_conversation() -> Conversation:
    key = ApiKey.objects.create(name="k", provider="codex")
    return Conversation.objects.create(api_key=key, provider="codex", scope_digest=bytes(32) + str(key.pk).encode())


def snapshot_at(conversation: Conversation, place: content.Place) -> Snapshot:
    return Snapshot(conversation=conversation, segment_id=place.segment_id, length=place.length, chain=place.chain)


def test_a_chain_of_turns_expands_to_all_items_in_order() -> None:
    conversation = make_conversation()
    place = content.origin(conversation.pk, stored=True)
    for turn in range(5):
        place = content.extend(conversation.pk, place, [message(f"q{turn}"), message(f"a{turn}")], stored=True, issuer=None)
    expanded = content.expand(snapshot_at(conversation, place))
    assert [item["content"] for item in expanded] == [f"{kind}{turn}" for turn in range(5) for kind in "qa"]
    assert Segment.objects.count() == 1


def test_a_fork_shares_what_came_before_it_and_nothing_after() -> None:
    conversation = make_conversation()
    root = content.extend(
        conversation.pk, content.origin(conversation.pk, stored=True), [message("q")], stored=True, issuer=None
    )
    left = content.extend(conversation.pk, root, [message("left")], stored=True, issuer=None)
    right = content.extend(conversation.pk, root, [message("right")], stored=True, issuer=None)
    deeper = content.extend(conversation.pk, right, [message("deeper")], stored=True, issuer=None)
    texts = [[item["content"] for item in content.expand(snapshot_at(conversation, at))] for at in (root, left, right, deeper)]
    assert texts == [["q"], ["q", "left"], ["q", "right"], ["q", "right", "deeper"]]
    assert Item.objects.count() == 4


def test_equal_items_of_a_conversation_stand_once_and_not_across_conversations() -> None:
    one, other = make_conversation(), make_conversation()
    for conversation in (one, other):
        at = content.origin(conversation.pk, stored=True)
        content.extend(conversation.pk, at, [message("yes"), message("yes"), message("no")], stored=True, issuer=None)
    assert Item.objects.filter(conversation=one).count() == 2
    assert Item.objects.count() == 4


def test_a_history_sent_anew_is_found_though_libraries_changed_ids_states_and_nulls() -> None:
    conversation = make_conversation()
    sent = [
        message("q"),
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"text": "a"}]},
    ]
    end = content.extend(conversation.pk, content.origin(conversation.pk, stored=True), sent, stored=True, issuer=None)
    anew = [message("q", id=None), {"role": "assistant", "type": "message", "content": [{"text": "a", "logprobs": None}]}]
    found = content.longest_prefix(conversation.pk, [*anew, message("next")], stored=True)
    assert (found.segment_id, found.length, found.chain) == (end.segment_id, end.length, end.chain)
    assert content.longest_prefix(conversation.pk, [message("other"), *anew], stored=True).length == 0
    assert content.longest_prefix(conversation.pk, anew, stored=False).length == 0, "traces and content are kept apart"


def test_a_long_history_is_found_however_far_back_it_was_left() -> None:
    conversation = make_conversation()
    history = [message(f"m{n}") for n in range(700)]
    content.extend(conversation.pk, content.origin(conversation.pk, stored=True), history[:300], stored=True, issuer=None)
    assert content.longest_prefix(conversation.pk, history, stored=True).length == 300


def test_a_trace_holds_no_content() -> None:
    conversation = make_conversation()
    at = content.origin(conversation.pk, stored=False)
    content.extend(conversation.pk, at, [message("secret")], stored=False, issuer=None)
    assert not Item.objects.exists()
    assert SegmentEntry.objects.get().item_id is None


def test_stored_items_are_sealed_and_bound_to_their_row() -> None:
    conversation = make_conversation()
    at = content.origin(conversation.pk, stored=True)
    place = content.extend(conversation.pk, at, [message("PLAINTEXT-SENTINEL" * 40), message("b")], stored=True, issuer=None)
    first, second = Item.objects.order_by("pk")
    assert b"PLAINTEXT-SENTINEL" not in bytes(first.sealed)
    Item.objects.filter(pk=second.pk).update(sealed=first.sealed)
    with pytest.raises(CannotUnseal):
        content.expand(snapshot_at(conversation, place))


@pytest.mark.parametrize("before", [1, 200])
def test_a_turn_writes_as_many_rows_whatever_its_history(before: int) -> None:
    conversation = make_conversation()
    place = content.origin(conversation.pk, stored=True)
    place = content.extend(conversation.pk, place, [message(f"m{n}") for n in range(before)], stored=True, issuer=None)
    items, entries = Item.objects.count(), SegmentEntry.objects.count()
    content.extend(conversation.pk, place, [message("new"), message("answer")], stored=True, issuer=None)
    assert (Item.objects.count() - items, SegmentEntry.objects.count() - entries) == (2, 2)


def test_a_compaction_keeps_what_people_said_and_earlier_compactions() -> None:
    items = [
        {"type": "message", "role": "developer", "content": "rules"},
        {"role": "user", "content": "q"},
        {"type": "compaction", "encrypted_content": "OLD"},
        {"type": "reasoning", "encrypted_content": "R"},
        {"type": "message", "role": "assistant", "content": "a"},
        {"type": "function_call", "name": "f"},
        {"type": "compaction_trigger"},
    ]
    new = {"type": "compaction", "encrypted_content": "NEW"}
    assert content.after_compaction(items, [new]) == [items[0], items[1], items[2], new]
    assert content.after_compaction(items, [message("no compaction")]) is None


def test_expanding_asks_one_question(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    conversation = make_conversation()
    place = content.origin(conversation.pk, stored=True)
    for turn in range(10):
        place = content.extend(conversation.pk, place, [message(f"{turn}")], stored=True, issuer=None)
        content.extend(conversation.pk, place, [message(f"fork {turn}")], stored=True, issuer=None)
    with django_assert_num_queries(1):
        content.expand(snapshot_at(conversation, place))
