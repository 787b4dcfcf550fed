"""The worked examples of windows, through the door: which window reaches the upstream for each turn of a tree."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from responses_app.models import Conversation, Snapshot
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import turn
from tests.fakes.upstream import FakeUpstream

TRIGGER = {"type": "compaction_trigger"}
SESSION = "01a2063f-a656-7a81-9d23-6f5dfedef29e"
SUB_THREAD = "01a2063f-a656-7a81-9d23-6f5dfedef300"


class Tree:
    """Turns by name, each continuing another, so that an example reads as it is written."""

    def __init__(self, gateway: Gateway, upstream: FakeUpstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.ids: dict[str, str] = {}

    def turn(self, name: str, parent: str | None = None, *, compacts: bool = False, **over: Any) -> str:
        """Takes one turn; returns the window that it went upstream in."""
        headers = {key: over.pop(key) for key in list(over) if "-" in key}
        body = turn(name, previous=self.ids[parent] if parent else None, **over)
        if compacts:
            body["input"] = [{"type": "message", "role": "user", "content": name}, TRIGGER]
        reply = self.gateway.post(body, **headers)
        assert reply.status == 200, reply.body
        self.ids[name] = reply.json["id"]
        return self.last()

    def last(self) -> str:
        window = self.upstream.turns[-1].header("x-codex-window-id") or ""
        return window.rpartition(":")[2]


@pytest.fixture
def tree(gateway: Gateway, upstream: FakeUpstream) -> Tree:
    return Tree(gateway, upstream)


def test_forks_take_the_next_number(tree: Tree) -> None:
    turns = [("r1", None), ("r2", "r1"), ("f1", "r1"), ("f2", "r1"), ("f1c", "f1"), ("r3", "r2"), ("f3", "r1"), ("g", "r2")]
    assert [tree.turn(name, parent) for name, parent in turns] == ["0", "0", "1", "2", "1", "0", "3", "4"]


def test_a_compaction_opens_the_next_window(tree: Tree) -> None:
    windows = [tree.turn("k1"), tree.turn("k2", "k1", compacts=True)]
    windows += [tree.turn("k3", "k2"), tree.turn("k4", "k2"), tree.turn("k5", "k1")]
    assert windows == ["0", "0", "1", "2", "3"]


def test_an_opaque_window_that_changes_takes_the_next_number(tree: Tree) -> None:
    def opaque(window: str) -> dict[str, str]:
        return {"x-codex-window-id": window}

    windows = [
        tree.turn("c1", **opaque("win-a")),
        tree.turn("c2", "c1", **opaque("win-a")),
        tree.turn("c3", "c2", **opaque("win-b")),
    ]
    assert windows == ["0", "0", "1"]
    assert tree.turn("c4", "c3", **{"session-id": SESSION}) == "0"
    assert tree.upstream.turns[-1].header("x-codex-window-id") == f"{SESSION}:0"


def test_after_a_compaction_the_first_opaque_window_is_the_one_it_opened(tree: Tree) -> None:
    windows = [
        tree.turn("o1", **{"x-codex-window-id": "opaque"}),
        tree.turn("o2", "o1", compacts=True, **{"x-codex-window-id": "opaque"}),
        tree.turn("o3", "o2", **{"x-codex-window-id": "opaque-2"}),
        tree.turn("o4", "o3", **{"x-codex-window-id": "opaque-2"}),
    ]
    assert windows == ["0", "0", "1", "1"]


def test_a_sub_agents_thread_has_windows_of_its_own(tree: Tree, upstream: FakeUpstream) -> None:
    upstream.distinct_ids = True
    tree.turn("root", **{"session-id": SESSION})
    tree.turn("sub", **{"session-id": SESSION, "thread-id": SUB_THREAD})
    windows = [request.header("x-codex-window-id") for request in upstream.turns]
    assert windows == [f"{SESSION}:0", f"{SUB_THREAD}:0"]
    assert [body["prompt_cache_key"] for body in upstream.bodies] == [SESSION, SESSION]


def test_a_stateless_caller_keeps_one_session_and_one_window(gateway: Gateway, upstream: FakeUpstream) -> None:
    first: list[Any] = [{"type": "message", "role": "user", "content": "hello"}]
    answer = gateway.post({"model": "gpt-5.5", "input": first, "store": False}).json["output"]
    again = [*first, *answer, {"type": "message", "role": "user", "content": "and now?"}]
    gateway.post({"model": "gpt-5.5", "input": again, "store": False})
    assert len({request.header("session-id") for request in upstream.turns}) == 1
    assert len({request.header("x-codex-window-id") for request in upstream.turns}) == 1
    gateway.post({"model": "gpt-5.5", "input": first, "store": False, "instructions": "Another beginning."})
    assert len({request.header("session-id") for request in upstream.turns}) == 2
    assert Conversation.objects.count() == 2


def test_a_failed_turn_leaves_no_trace_on_its_parent(tree: Tree) -> None:
    tree.turn("r1")
    tree.upstream.script(faults.status(500, {"error": {"message": "x", "type": "server_error", "code": None}}))
    reply = tree.gateway.say("fails", previous=tree.ids["r1"])
    assert reply.status >= 500
    assert Snapshot.objects.get().continued_by_id is None
    assert tree.turn("r2", "r1") == "0"


def test_a_child_that_is_not_stored_has_continued_its_parent(tree: Tree) -> None:
    tree.turn("r1")
    assert [tree.turn("quiet", "r1", store=False), tree.turn("fork", "r1")] == ["0", "1"]
    reply = tree.gateway.say("more", previous=tree.ids["quiet"])
    assert reply.error["code"] == "previous_response_not_found"


def test_children_at_once_share_no_window(tree: Tree) -> None:
    tree.turn("r1")
    together = threading.Barrier(6)

    def child(n: int) -> None:
        together.wait(30)
        tree.turn(f"child {n}", "r1")

    threads = [threading.Thread(target=child, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    windows = [request.header("x-codex-window-id") or "" for request in tree.upstream.turns[1:]]
    assert sorted(window.rpartition(":")[2] for window in windows) == ["0", "1", "2", "3", "4", "5"]


def test_a_callers_own_number_is_used_as_it_is_and_moves_the_counter(tree: Tree) -> None:
    stated = {"session-id": SESSION, "x-codex-window-id": f"{SESSION}:7"}
    assert tree.turn("n1", **stated) == "7"
    assert [tree.turn("n2", "n1"), tree.turn("n3", "n1")] == ["7", "8"]


def test_a_compaction_is_replayed_and_what_it_stands_for_is_not(tree: Tree) -> None:
    tree.turn("before")
    tree.turn("squeeze", "before", compacts=True)
    tree.turn("after", "squeeze")
    sent = tree.upstream.bodies[-1]["input"]
    kinds = [item.get("role") or item["type"] for item in sent]
    assert kinds == ["user", "user", "compaction", "user"]
    assert tree.gateway.exchange().input_tokens is not None
