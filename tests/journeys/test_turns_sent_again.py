"""Whose turn a history is that is sent again with a tool's output: the turn that it repeats, however many chats begin alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.upstream import FakeUpstream
from tests.journeys.test_statements import Statement, executed
from tests.journeys.test_turn_state import ADD, state_of, turn_of

__all__ = ["executed"]

SYSTEM = {"role": "system", "content": "You help in a shop."}
SESSION = "01a2063f-a656-7a81-9d23-6f5dfedef29e"


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


class Chat:
    """A caller that sends all of its history with every request.

    :param shortens: it keeps of an answer what it needs, in words of its own.
    """

    def __init__(self, gateway: Gateway, *, shortens: bool = False, store: bool = False, **headers: str) -> None:
        self._gateway = gateway
        self._shortens = shortens
        self._store = store
        self._headers = headers
        self.history: list[dict[str, Any]] = [SYSTEM]

    def ask(self, text: str) -> None:
        self._send(user(text))

    def follow_up(self, output: str = "3") -> None:
        self._send(output_of(self.history, output))

    def _send(self, item: dict[str, Any]) -> None:
        self.history.append(item)
        body = {"model": "gpt-5.5", "input": self.history, "tools": [ADD], "store": self._store}
        reply = self._gateway.post(body, **self._headers)
        assert reply.status == 200, reply.body
        answer = reply.json["output"]
        self.history += [shortened(item) for item in answer if item["type"] != "reasoning"] if self._shortens else answer


def output_of(history: list[dict[str, Any]], output: str) -> dict[str, Any]:
    """What the last tool that was called gives."""
    call = next(item for item in reversed(history) if item.get("type") == "function_call")
    return {"type": "function_call_output", "call_id": call["call_id"], "output": output}


def shortened(item: dict[str, Any]) -> dict[str, Any]:
    if item["type"] == "message":
        return {"role": "assistant", "content": item["content"][0]["text"]}
    return {**{key: item[key] for key in ("type", "call_id", "name", "arguments")}, "note": "mine"}


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("shortens", [False, True])
def test_chats_that_begin_alike_keep_their_turns(gateway: Gateway, upstream: FakeUpstream, shortens: bool, store: bool) -> None:
    one, other = (Chat(gateway, shortens=shortens, store=store) for _ in range(2))
    for state, step in [
        ("state-1", lambda: one.ask("call add for me")),
        ("state-2", lambda: other.ask("call add for her")),
        (None, one.follow_up),
        (None, other.follow_up),
        (None, lambda: one.ask("call add again")),
        (None, other.follow_up),
        (None, one.follow_up),
    ]:
        upstream.turn_state = state
        step()
    assert len({request.header("session-id") for request in upstream.turns}) == 1
    turns = [turn_of(upstream, number) for number in range(7)]
    assert turns[2] == turns[0] and turns[3] == turns[5] == turns[1] and turns[6] == turns[4]
    assert len(set(turns)) == 3
    assert [state_of(upstream, number) for number in range(7)] == [None, None, "state-1", "state-2", None, "state-2", None]


@pytest.mark.parametrize("shortens", [False, True])
def test_of_chats_that_are_equal_so_far_the_newest_goes_on_where_nothing_tells_them_apart(
    gateway: Gateway, upstream: FakeUpstream, shortens: bool
) -> None:
    earlier = Chat(gateway)
    for chat in (earlier, Chat(gateway, shortens=shortens), Chat(gateway, shortens=shortens)):
        chat.ask("call add")
        chat.follow_up()
        chat.follow_up()
    turns = [turn_of(upstream, number) for number in range(9)]
    assert turns == [turns[0]] * 3 + [turns[3]] * 3 + [turns[6]] * 3
    assert len(set(turns)) == 3


@pytest.mark.parametrize("shortens", [False, True])
def test_an_output_that_is_cut_later_leaves_the_turn_as_it_is(gateway: Gateway, upstream: FakeUpstream, shortens: bool) -> None:
    chat, other = Chat(gateway, shortens=shortens), Chat(gateway)
    chat.ask("call add")
    chat.follow_up("a long output")
    place = next(place for place, item in enumerate(chat.history) if item.get("output") == "a long output")
    chat.history[place] = {**chat.history[place], "output": "[cut]"}
    other.ask("call add for her")
    chat.follow_up()
    assert turn_of(upstream, 0) == turn_of(upstream, 1) == turn_of(upstream, 3) != turn_of(upstream, 2)


def test_a_turn_that_is_not_known_is_no_other_chats(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.turn_state = "state-1"
    Chat(gateway).ask("call add for her")
    upstream.script(faults.cut_after(6))
    lost = Chat(gateway)
    lost.history += [user("call add"), {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}]
    gateway.post({"model": "gpt-5.5", "input": lost.history[:2], "tools": [ADD], "store": False})
    lost.follow_up()
    assert len({request.header("session-id") for request in upstream.turns}) == 1
    assert len({turn_of(upstream, number) for number in range(3)}) == 3
    assert state_of(upstream, 2) is None


def test_a_turn_begins_anew_where_what_is_known_of_its_beginning_is_another_turns_history(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    imported = [SYSTEM, user("call add"), {"role": "assistant", "content": "No."}, user("call add, please")]
    gateway.post({"model": "gpt-5.5", "input": imported, "store": False})
    chat = Chat(gateway)
    chat.history += [imported[1], {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}]
    chat.follow_up()
    assert turn_of(upstream, 0) != turn_of(upstream, 1)


@pytest.mark.parametrize("thread", ["01a2063f-a656-7a81-9d23-6f5dfedef29a", None])
def test_a_turn_is_looked_for_in_the_thread_that_the_caller_names(
    gateway: Gateway, upstream: FakeUpstream, thread: str | None
) -> None:
    upstream.distinct_ids = thread is not None
    one, other = Chat(gateway), Chat(gateway, **({"thread_id": thread} if thread else {}))
    for chat in (one, other):
        chat.ask("call add")
    for chat in (one, other):
        chat.follow_up()
    assert [turn_of(upstream, 2), turn_of(upstream, 3)] == [turn_of(upstream, 0), turn_of(upstream, 1)]
    threads = [request.header("thread-id") for request in upstream.turns]
    assert threads[2:] == threads[:2]
    assert len(set(threads)) == (2 if thread else 1)


def test_where_the_caller_names_its_session_an_unknown_history_is_the_latest_turns(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    chat = Chat(gateway, session_id=SESSION)
    chat.ask("call add")
    chat.history[1] = user("call add, said otherwise")
    chat.follow_up()
    assert turn_of(upstream, 0) == turn_of(upstream, 1)


def test_only_a_history_sent_again_within_a_turn_is_looked_for(
    gateway: Gateway, upstream: FakeUpstream, executed: list[Statement]
) -> None:
    def looked() -> int:
        gateway.exchange()
        count = sum("WITH reached" in statement for statement, _ in executed)
        executed.clear()
        return count

    chat = Chat(gateway)
    chat.ask("call add")
    assert looked() == 0
    chat.follow_up()
    assert looked() == 1
    chat.ask("hello")
    assert looked() == 0
    first = gateway.post({"model": "gpt-5.5", "input": "call add", "tools": [ADD]}).json
    gateway.post({"model": "gpt-5.5", "input": [output_of(first["output"], "3")], "previous_response_id": first["id"]})
    assert looked() == 0
    named = {"turn_id": "01a2063f-a656-7a81-9d23-6f5dfedef29f"}
    history = [*chat.history[:4], output_of(chat.history, "3")]
    gateway.post({"model": "gpt-5.5", "input": history, "client_metadata": named, "store": False})
    assert looked() == 0
    assert turn_of(upstream, -1) == named["turn_id"]
