"""Where each id of a request comes from, and that every surface says the same."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from floway.providers.codex.protocol import identity, windows
from floway.providers.codex.protocol.constants import STATING_HEADERS
from floway.providers.codex.protocol.content_key import content_key
from floway.providers.codex.protocol.ids import unix_ms
from floway.providers.codex.protocol.surfaces import Surface
from floway.providers.codex.state import UnreadableNote
from floway.providers.contract import Keepsake, Numbered, Opaque, ProviderRefused, SnapshotContext
from floway.wire.headers import Headers
from tests.providers.factories import DEVICE, NOW, OFFICIAL, Sent, make_body, make_provider, send, user

A, B, C = "id-of-a", "id-of-b", "id-of-c"
TURN_NOTE = {
    "session_id": "s-old", "thread_id": "t-old", "turn_id": "turn-old", "turn_started_at_unix_ms": 1_795_000_000_000,
    "window_id": "t-old:4",
}  # fmt: skip
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "4"}
CALL = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"}


def test_every_header_that_states_an_id_is_looked_for() -> None:
    rules = [rule for rule in vars(identity).values() if isinstance(rule, identity.Rule)]
    assert len(rules) == 9
    for rule in rules:
        assert STATING_HEADERS.issuperset(rule.stated_as[Surface.HEADER])


def assert_consistent(sent: Sent) -> None:
    headers, client, metadata = sent.headers, sent.client_metadata, sent.metadata
    assert headers["session-id"] == client["session_id"] == metadata["session_id"]
    assert headers["thread-id"] == client["thread_id"] == metadata["thread_id"]
    assert headers["x-codex-window-id"] == client["x-codex-window-id"] == metadata["window_id"]
    assert headers["x-codex-window-id"].rpartition(":")[0] == headers["thread-id"]
    assert headers["x-codex-window-id"].rpartition(":")[2] == str(metadata["window_number"])
    assert headers["x-codex-turn-metadata"] == client["x-codex-turn-metadata"]
    assert client["turn_id"] == metadata["turn_id"]
    assert client["root_turn_id"] == metadata["root_turn_id"]
    assert client["x-codex-installation-id"] == metadata["installation_id"]
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert not {"session_id", "x-codex-installation-id"} & set(headers)


def turn_metadata(**fields: Any) -> str:
    return json.dumps(fields)


def test_a_caller_without_ids_gets_one_session_on_every_surface() -> None:
    sent = send()
    session = uuid.UUID(sent.headers["session-id"])
    assert session.version == 7
    assert session.int >> 80 == unix_ms(NOW)
    assert sent.headers["thread-id"] == sent.headers["x-client-request-id"] == sent.body["prompt_cache_key"] == str(session)
    assert sent.headers["x-codex-window-id"] == f"{session}:0"
    assert sent.client_metadata["x-codex-installation-id"] == DEVICE
    assert sent.sources == {
        "session": "minted", "thread": "= session", "client_request": "= thread", "window": "generation 0", "turn": "minted",
        "root_turn": "= turn", "installation": "credential",
    }  # fmt: skip
    assert_consistent(sent)


@pytest.mark.parametrize(
    ("transport", "expected", "source"),
    [("http", A, "header session-id"), ("websocket", B, "client_metadata session_id")],
)
def test_the_first_surface_of_the_transport_wins(transport: str, expected: str, source: str) -> None:
    body = make_body(client_metadata={"session_id": B, "x-codex-turn-metadata": turn_metadata(session_id=C)})
    sent = send(body, {"session-id": A}, transport=transport)
    assert (sent.headers["session-id"], sent.sources["session"]) == (expected, source)
    assert_consistent(sent)


@pytest.mark.parametrize(
    ("headers", "body", "source"),
    [
        ({"session_id": A}, {}, "header session_id"),
        ({"session-id": "  ", "session_id": f" {A} "}, {}, "header session_id"),
        ({}, {"client_metadata": {"session_id": A}}, "client_metadata session_id"),
        ({"x-codex-turn-metadata": turn_metadata(session_id=A)}, {}, "turn metadata session_id"),
        (
            {},
            {"client_metadata": {"session_id": 5, "x-codex-turn-metadata": turn_metadata(session_id=A)}},
            "turn metadata session_id",
        ),
    ],
)  # fmt: skip
def test_a_session_is_found_on_any_surface_and_under_its_alias(headers: Any, body: Any, source: str) -> None:
    sent = send(make_body(**body), headers)
    assert (sent.headers["session-id"], sent.sources["session"]) == (A, source)
    assert sent.claim.recall_key is None
    assert_consistent(sent)


def test_a_snapshot_lends_its_session_and_thread() -> None:
    sent = send(continued=TURN_NOTE)
    assert (sent.headers["session-id"], sent.headers["thread-id"]) == ("s-old", "t-old")
    assert (sent.sources["session"], sent.sources["thread"]) == ("snapshot", "snapshot")


def test_a_snapshot_of_another_session_doesnt_lend_its_thread() -> None:
    sent = send(headers={"session-id": A}, continued=TURN_NOTE)
    assert (sent.headers["thread-id"], sent.sources["thread"]) == (A, "= session")


def test_a_recalled_conversation_is_joined() -> None:
    sent = send(recalled={"session_id": A, "thread_id": B})
    assert (sent.headers["session-id"], sent.headers["thread-id"]) == (A, B)
    assert (sent.sources["session"], sent.sources["thread"]) == ("content key", "content key")
    assert sent.claim.recall_key is None


def test_the_stored_note_wins_over_an_id_minted_in_a_lost_race() -> None:
    sent = send(note={"session_id": A, "thread_id": A})
    assert sent.headers["session-id"] == sent.headers["thread-id"] == sent.body["prompt_cache_key"] == A
    assert sent.claim.scope[0].id != A
    assert_consistent(sent)


def test_a_minted_session_is_recalled_by_its_content_unless_there_is_none() -> None:
    body = make_body(instructions="You are helpful.")
    assert send(body).claim.recall_key == content_key(body)
    assert send(make_body(input=[])).claim.recall_key is None


@pytest.mark.parametrize("param", ["session-id", "thread-id", "x-client-request-id", "x-codex-window-id"])
@pytest.mark.parametrize("value", ["a\x07b", "a\nb", "sessión", "x" * 257, "a\x7fb"])
def test_an_id_that_cannot_stand_in_a_header_is_refused_by_name(param: str, value: str) -> None:
    with pytest.raises(ProviderRefused) as refused:
        send(headers={param: value})
    assert (refused.value.param, refused.value.status) == (param, 400)
    assert value not in refused.value.message


@pytest.mark.parametrize("key", ["turn_id", "x-codex-installation-id", "root_turn_id"])
def test_so_is_an_id_of_the_body(key: str) -> None:
    with pytest.raises(ProviderRefused) as refused:
        send(make_body(client_metadata={key: "a\r\nx: y"}))
    assert refused.value.param == key


def test_what_else_the_caller_says_about_itself_survives() -> None:
    metadata = turn_metadata(session_id=B, sandbox="seccomp", workspaces={"/home/é": {}}, turn_started_at_unix_ms=12, future=1)
    sent = send(make_body(client_metadata={"own": "x", "x-codex-turn-metadata": metadata}), {"session-id": A})
    assert sent.client_metadata["own"] == "x"
    assert sent.metadata["workspaces"] == {"/home/é": {}}
    assert (sent.metadata["sandbox"], sent.metadata["turn_started_at_unix_ms"], sent.metadata["future"]) == ("seccomp", 12, 1)
    assert_consistent(sent)


@pytest.mark.parametrize("junk", ["[]", "nonsense", "{", '"text"', "1"])
def test_turn_metadata_that_is_no_object_is_dropped_whole(junk: str) -> None:
    sent = send(headers={"x-codex-turn-metadata": junk})
    assert_consistent(sent)
    assert sent.metadata["thread_source"] == "user"


def test_turn_metadata_too_long_for_a_header_is_refused() -> None:
    with pytest.raises(ProviderRefused) as refused:
        send(headers={"x-codex-turn-metadata": turn_metadata(big="x" * 20_000)})
    assert refused.value.param == "x-codex-turn-metadata"


def test_private_and_transport_keys_never_go_out() -> None:
    sent = send(
        make_body(client_metadata={"x-floway-key": "1", "x-codex-turn-state": "forged"}), {"x-floway-a": "1", "cookie": "c"}
    )
    assert not {"x-floway-key", "x-codex-turn-state"} & set(sent.client_metadata)
    assert not {"x-floway-a", "cookie", "x-codex-turn-state"} & set(sent.headers)


def test_a_prompt_cache_key_is_the_callers_null_included() -> None:
    assert send(make_body(prompt_cache_key="mine")).body["prompt_cache_key"] == "mine"
    assert send(make_body(prompt_cache_key=None)).body["prompt_cache_key"] is None


def test_a_subagents_thread_has_its_own_scope_in_the_roots_session() -> None:
    sent = send(headers={"session-id": A, "thread-id": B})
    assert [(step.kind, step.id) for step in sent.claim.scope] == [("session", A), ("thread", B)]
    assert sent.headers["x-codex-window-id"] == f"{B}:0"
    assert sent.body["prompt_cache_key"] == A


# --- windows ---


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        ("t:0", Numbered(0)), ("t:2147483647", Numbered(2**31 - 1)), ("t:2147483648", Opaque("t:2147483648")),
        ("t:01", Opaque("t:01")), ("t:-1", Opaque("t:-1")), ("t:+1", Opaque("t:+1")), ("t:٣", Opaque("t:٣")),
        ("other:1", Opaque("other:1")), ("win-a", Opaque("win-a")), (":1", Opaque(":1")), ("t:", Opaque("t:")),
    ],
)  # fmt: skip
def test_a_window_is_numbered_only_as_thread_and_number(stated: str, meant: Numbered | Opaque) -> None:
    assert windows.read(stated, "t") == meant


def test_a_numbered_window_is_used_as_it_is_and_an_opaque_one_mapped() -> None:
    numbered = send(headers={"session-id": A, "x-codex-window-id": f"{A}:3"}, generation=9)
    assert (numbered.claim.window, numbered.headers["x-codex-window-id"]) == (Numbered(3), f"{A}:3")
    opaque = send(headers={"session-id": A, "x-codex-window-id": "win-a"}, generation=2)
    assert (opaque.claim.window, opaque.headers["x-codex-window-id"]) == (Opaque("win-a"), f"{A}:2")
    assert opaque.sources["window"] == "generation 2 for header x-codex-window-id"
    assert_consistent(numbered)
    assert_consistent(opaque)


# --- turns ---


def test_a_turn_id_is_a_uuid7_the_same_for_every_dispatch_of_an_attempt_and_no_other() -> None:
    first, again, other = send(seed="a"), send(seed="a"), send(seed="b")
    turn = first.client_metadata["turn_id"]
    assert uuid.UUID(turn).version == 7
    assert turn == again.client_metadata["turn_id"] != other.client_metadata["turn_id"]
    assert first.prepared.request == again.prepared.request


@pytest.mark.parametrize(
    "new", [[OUTPUT], [OUTPUT, {"type": "custom_tool_call_output"}], [OUTPUT, {"type": "compaction_trigger"}]]
)
def test_tool_outputs_alone_go_on_with_the_snapshots_turn(new: list[Any]) -> None:
    sent = send(make_body(input=[user(), CALL, *new]), continued=TURN_NOTE, continued_items=2)
    assert (sent.client_metadata["turn_id"], sent.sources["turn"]) == ("turn-old", "snapshot")
    assert sent.metadata["turn_started_at_unix_ms"] == 1_795_000_000_000
    assert_consistent(sent)


@pytest.mark.parametrize("new", [[user()], [OUTPUT, user()], [], [{"type": "compaction_trigger"}]])
def test_anything_more_begins_a_turn(new: list[Any]) -> None:
    sent = send(make_body(input=[user(), CALL, *new]), continued=TURN_NOTE, continued_items=2, latest=TURN_NOTE)
    assert sent.sources["turn"] == "minted"
    assert sent.metadata["turn_started_at_unix_ms"] == unix_ms(NOW)


@pytest.mark.parametrize(
    ("items", "source"),
    [
        ([user(), CALL, OUTPUT], "latest turn"),
        ([user(), {"role": "assistant", "content": "hm"}, CALL, OUTPUT], "latest turn"),
        ([user(), CALL, OUTPUT, user()], "minted"),
        ([user(), CALL, OUTPUT, {"role": "assistant", "content": "4"}], "minted"),
        ([user(), {"role": "developer", "content": "x"}, OUTPUT], "minted"),
        ([CALL, OUTPUT], "minted"),
        ([], "minted"),
        (["junk", {"type": 5}, user(), OUTPUT], "latest turn"),
    ],
)  # fmt: skip
def test_a_resent_history_goes_on_with_the_latest_turn_when_only_the_model_and_tools_spoke(
    items: list[Any], source: str
) -> None:
    assert send(make_body(input=items), latest=TURN_NOTE).sources["turn"] == source


def test_the_turn_whose_history_is_sent_again_is_asked_for_and_goes_before_the_latest() -> None:
    items = [user(), CALL, OUTPUT, {"role": "assistant", "content": "4"}, user(), CALL, OUTPUT, {"type": "compaction_trigger"}]
    sent = send(make_body(input=items), resumed={**TURN_NOTE, "turn_id": "turn-repeated"}, latest=TURN_NOTE)
    assert sent.claim.resumed_at == 4
    assert (sent.client_metadata["turn_id"], sent.sources["turn"]) == ("turn-repeated", "history sent again")
    assert sent.metadata["turn_started_at_unix_ms"] == TURN_NOTE["turn_started_at_unix_ms"]


@pytest.mark.parametrize(
    ("items", "known"),
    [
        ([user()], {}),
        ([CALL, OUTPUT], {}),
        ([user(), CALL, OUTPUT, {"role": "developer", "content": "x"}], {}),
        ([user(), CALL, OUTPUT], {"continued": TURN_NOTE, "continued_items": 2}),
    ],
)
def test_no_turn_is_asked_for_where_none_is_sent_again_or_it_is_continued(items: list[Any], known: dict[str, Any]) -> None:
    assert send(make_body(input=items), **known).claim.resumed_at is None


def test_no_turn_is_asked_for_where_the_caller_names_it() -> None:
    sent = send(make_body(input=[user(), CALL, OUTPUT], client_metadata={"turn_id": A}))
    assert sent.claim.resumed_at is None


def test_a_turn_that_the_caller_names_is_the_callers() -> None:
    body = make_body(input=[user(), OUTPUT], client_metadata={"turn_id": A, "root_turn_id": B, "parent_turn_id": C})
    sent = send(body, continued=TURN_NOTE, continued_items=1)
    assert (sent.client_metadata["turn_id"], sent.metadata["root_turn_id"]) == (A, B)
    assert sent.client_metadata["parent_turn_id"] == C
    assert sent.metadata["turn_started_at_unix_ms"] == unix_ms(NOW)


@pytest.mark.parametrize(
    "broken", ["text", [], {}, {**TURN_NOTE, "turn_id": 5}, {**TURN_NOTE, "turn_started_at_unix_ms": True}]
)
def test_a_stored_note_of_another_shape_is_a_clear_error(broken: Any) -> None:
    with pytest.raises(UnreadableNote) as unreadable:
        send(continued=broken)
    assert unreadable.value.status == 500
    assert unreadable.value.code == "conversation_damaged"


def test_what_is_kept_of_a_turn_is_what_it_said_and_reads_back() -> None:
    sent = send(headers={"session-id": A}, generation=3)
    note = make_provider().before_responses_snapshot_commit(SnapshotContext("req_1", sent.prepared.carry, [], Headers(), 3))
    assert note is not None
    assert set(note.metadata) == {"session_id", "thread_id", "turn_id", "turn_started_at_unix_ms", "window_id"}
    assert [(step.kind, step.id) for step in note.scope] == [("session", A), ("thread", A), ("window", f"{A}:3")]
    follow_up = send(make_body(input=[user(), OUTPUT]), continued=note.metadata, continued_items=1)
    assert follow_up.client_metadata["turn_id"] == sent.client_metadata["turn_id"]


# --- turn state ---


def test_turn_state_is_shown_again_within_its_turn_alone_and_a_callers_own_never() -> None:
    first = send(headers=[*OFFICIAL, ("x-codex-turn-state", "forged")])
    assert "x-codex-turn-state" not in first.headers
    given = Headers.of([("x-codex-turn-state", "opaque"), ("x-request-id", "req-1"), ("cf-ray", "not an id")])
    notes = make_provider().read_answer(first.prepared.carry, given)
    assert notes.keepsake == Keepsake(first.client_metadata["turn_id"], "opaque")
    assert notes.for_official_callers == (("x-codex-turn-state", "opaque"),)
    assert notes.ids == {"x-request-id": "req-1"}
    assert "opaque" not in repr(notes.keepsake)
    kept = (Keepsake("another turn", "other"), notes.keepsake)
    again = send(headers=OFFICIAL, keepsakes=kept)
    assert again.headers["x-codex-turn-state"] == "opaque"
    assert again.names.index("x-codex-turn-state") == again.names.index("x-codex-window-id") - 1
    assert "x-codex-turn-state" not in send(headers=OFFICIAL, keepsakes=kept, seed="later").headers


@pytest.mark.parametrize("state", ["", "a\nb", "é", "x" * 17_000])
def test_a_turn_state_that_cannot_be_sent_is_not_kept(state: str) -> None:
    notes = make_provider().read_answer(send().prepared.carry, Headers.of([("x-codex-turn-state", state)]))
    assert (notes.keepsake, notes.for_official_callers) == (None, ())
