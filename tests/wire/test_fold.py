"""What a caller gets for what the upstream sent: relayed, completed, renumbered, and never without what announces it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floway.wire.events import Usage
from floway.wire.objects import PUBLIC_RESPONSE_KEYS
from floway.wire.sse import InvalidFrame
from tests.wire.streams import (
    FINISHED_AT,
    GATEWAY_ID,
    USAGE,
    added,
    assert_numbered,
    call,
    delta,
    done,
    events_of,
    frame,
    full_turn,
    lifecycle,
    make_relay,
    message,
    numbered,
    part,
    relayed,
    types_of,
    unnumbered,
)

VENDOR = frame("codex.rate_limits", {"type": "codex.rate_limits", "plan_type": "pro"})
COMPLETED = lifecycle("response.completed", usage=USAGE)


def tricky_stream(end: str = "\n") -> bytes:
    """Vendor events in between, a numbered one among them, a comment, nothing that needs an exact byte kept."""
    turn = full_turn("He said ", '"sequence_number":5, {"output_index":7}', " \u2028é\U0001f600")
    return b"".join(
        [
            f": hello{end}{end}".encode(),
            numbered(*turn[:6], end=end),
            VENDOR.replace(b"\n", end.encode()),
            frame("response.metadata", {"type": "response.metadata", "sequence_number": 6}, end=end),
            frame("response.output_text.delta", end=end),
            numbered(*turn[6:], first=7, end=end),
        ]
    )


# --- what passes, and what does not ---


def test_a_well_behaved_turn_passes_in_order_and_its_deltas_byte_for_byte() -> None:
    stream = numbered(*full_turn("Hel", "lo"))
    out = relayed(stream)
    assert types_of(out) == types_of(stream)
    for piece in stream.split(b"\n\n"):
        if b".delta\n" in piece or b"_text.done\n" in piece:
            assert piece in out.split(b"\n\n")


def test_deltas_are_relayed_undecoded_once_their_kind_is_known() -> None:
    relay = make_relay()
    relay.feed(numbered(lifecycle("response.created"), added(message(None)), part("added"), delta("a")))
    undecodable = numbered(delta("b"), first=4).replace(b'"logprobs":[]', b'"logprobs":[not json]')
    assert relay.feed(undecodable) == undecodable


def test_vendor_events_and_events_without_data_are_dropped() -> None:
    noise = VENDOR + frame("responsesapi.websocket_timing", {"a": 1}) + frame("response.metadata", {"headers": {}})
    noise += frame("response.output_text.delta") + frame(None, "[DONE]") + frame("keepalive", {"x": 1}) + b"data\n\n"
    turn = full_turn("Hi")
    out = relayed(noise + numbered(*turn[:7]) + noise + numbered(*turn[7:], first=7))
    assert out == relayed(numbered(*turn))


def test_numbers_are_patched_only_after_a_numbered_event_was_dropped() -> None:
    turn = full_turn("a", "b")
    dropped = frame("codex.numbered", {"type": "codex.numbered", "sequence_number": 7})
    out = relayed(numbered(*turn[:7]) + dropped + numbered(*turn[7:], first=8))
    assert out == relayed(numbered(*turn))


@pytest.mark.parametrize("first", [0, 1, 100])
def test_numbers_begin_at_nought_and_have_no_gaps(first: int) -> None:
    assert_numbered(relayed(numbered(*full_turn("a", "b", "c"), first=first)))


@pytest.mark.parametrize("numbers", [(5, 5, 7, 99, 9), (6, 5, 7, 8, 9), (5, 6, 7, 8, 8)])
def test_like_events_of_one_chunk_are_numbered_without_gaps_whatever_they_said(numbers: tuple[int, ...]) -> None:
    relay = make_relay()
    begun = relay.feed(
        numbered(lifecycle("response.created"), lifecycle("response.in_progress"), added(message(None)), part("added"))
    )
    begun += relay.feed(numbered(delta("a"), first=4))
    assert_numbered(begun + relay.feed(b"".join(numbered(delta("b"), first=number) for number in numbers)))


def test_an_upstream_without_numbers_is_numbered() -> None:
    out = relayed(unnumbered(*full_turn("a", "b", "c")))
    assert_numbered(out)
    assert types_of(out) == types_of(numbered(*full_turn("a", "b", "c")))


def test_text_that_looks_like_a_number_is_left_alone() -> None:
    texts = ['"sequence_number":5', '{"sequence_number":5}', '\\"sequence_number":5,', "}", '"output_index":9']
    out = relayed(unnumbered(*full_turn(*texts)))
    assert_numbered(out)
    assert [event["delta"] for event in events_of(out) if event["type"] == "response.output_text.delta"] == texts


def test_an_event_without_its_name_line_gets_one() -> None:
    nameless = b"".join(frame(None, {**payload, "sequence_number": n}) for n, payload in enumerate(full_turn("a")))
    assert types_of(relayed(nameless)) == types_of(numbered(*full_turn("a")))


def test_an_unknown_public_event_passes_as_it_is() -> None:
    unknown = b'event: response.novelty\ndata: {"type": "response.novelty","x":{"output_index":3},"sequence_number":1}\n\n'
    assert unknown in relayed(numbered(lifecycle("response.created")) + unknown)


def test_the_gateways_own_id_and_the_callers_request_stand_in_every_lifecycle_event() -> None:
    request = {"instructions": "mine", "store": True, "metadata": {"k": "v"}, "prompt_cache_key": "pk", "user": "u"}
    out = relayed(numbered(*full_turn("a")), make_relay(request=request))
    responses = [event["response"] for event in events_of(out) if "response" in event]
    assert len(responses) == 3
    for response in responses:
        assert set(PUBLIC_RESPONSE_KEYS) <= set(response)
        assert response["id"] == GATEWAY_ID
        assert response["model"] == "asked-model"
        assert {key: response[key] for key in request} == request
    assert b"LEAKED" not in out
    assert b"INJECTED" not in out
    assert b"resp_upstream" not in out


def test_the_terminal_event_is_held_back_and_nothing_follows_it() -> None:
    relay = make_relay()
    before = relay.feed(numbered(*full_turn("a")) + numbered(delta("late"), first=90))
    assert types_of(before)[-1] == "output_item.done"
    assert relay.terminal is not None
    assert relay.feed(numbered(delta("later"))) == b""
    assert relay.fail("server_error", "late") == b""
    assert types_of(relay.finish()) == ["completed"]
    assert relay.last_event == "response.completed"


def test_the_terminal_frame_can_say_that_nothing_was_stored() -> None:
    relay = make_relay()
    relay.feed(numbered(*full_turn("a")))
    assert events_of(relay.finish())[0]["response"]["store"] is True
    assert events_of(relay.finish(store=False))[0]["response"]["store"] is False


def test_there_is_no_terminal_frame_before_there_is_a_terminal_event() -> None:
    with pytest.raises(ValueError, match="not ended"):
        make_relay().finish()


# --- however it is cut ---


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_cut_at_every_byte_gives_the_same_bytes(end: str) -> None:
    stream, expected = tricky_stream(end), relayed(tricky_stream())
    assert_numbered(expected)
    for at in range(len(stream) + 1):
        relay = make_relay()
        first = relay.feed(stream[:at])
        assert first + relayed(stream[at:], relay) == expected


@given(st.lists(st.integers(0, len(tricky_stream()))), st.booleans())
def test_any_chunking_gives_the_same_bytes(cuts: list[int], numbers: bool) -> None:
    stream = (
        tricky_stream() if numbers else unnumbered(done(message("x"), 1), done(call("{}"), 0), delta("y", None, 3), COMPLETED)
    )
    relay, edges = make_relay(), [0, *sorted(cuts), len(stream)]
    out = b"".join(relay.feed(stream[a:b]) for a, b in itertools.pairwise(edges)) + relay.finish()
    assert out == relayed(stream)


@pytest.mark.parametrize("broken", [b"event: response.completed\ndata: {oops\n\n", b"data: " + b"a" * 5000])
def test_a_broken_stream_gives_the_same_bytes_however_it_is_cut(broken: bytes) -> None:
    stream = numbered(*full_turn("a")[:8]) + broken
    outs = set()
    for size in (1, 10, 1000, len(stream)):
        relay, out = make_relay(frame_limit=4000), b""
        with pytest.raises(InvalidFrame):
            for at in range(0, len(stream), size):
                out += relay.feed(stream[at : at + size])
        outs.add(out + relay.fail("server_error", "broken"))
    assert len(outs) == 1
    assert_numbered(outs.pop())


def test_every_feed_gives_whole_frames() -> None:
    relay, stream = make_relay(), tricky_stream()
    for at in range(len(stream)):
        out = relay.feed(stream[at : at + 1])
        assert out == b"" or out.endswith(b"\n\n")


# --- what is announced ---


def test_the_least_an_upstream_may_send_becomes_a_whole_stream() -> None:
    relay = make_relay()
    out = relayed(
        unnumbered(done(message("Hello", None, status="completed")), lifecycle("response.completed", usage=None)), relay
    )
    assert types_of(out) == ["created", "in_progress", "output_item.added", "output_item.done", "completed"]
    opened, closed, end = events_of(out)[2:]
    assert opened["item"] == {
        "id": "msg_minted1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "status": "in_progress",
    }
    assert closed["item"]["content"] == [{"type": "output_text", "text": "Hello", "annotations": []}]
    assert closed["item"]["status"] == "completed"
    assert end["response"]["output"] == [closed["item"]]
    assert end["response"]["usage"] is None
    assert_numbered(out)


def test_deltas_without_announcement_are_announced_once() -> None:
    out = relayed(unnumbered(delta("a", "msg_9"), delta("b", "msg_9"), done(message("ab", "msg_9")), COMPLETED))
    assert types_of(out)[2:] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_item.done",
        "completed",
    ]
    assert {event.get("item_id", "msg_9") for event in events_of(out)} == {"msg_9"}
    assert_numbered(out)


def test_a_finished_part_is_announced_if_nobody_has() -> None:
    out = relayed(
        numbered(lifecycle("response.created"), added(message(None)), part("done", "x"), done(message("x")), COMPLETED)
    )
    assert types_of(out)[2:4] == ["content_part.added", "content_part.done"]
    assert events_of(out)[2]["part"] == {"type": "output_text", "text": "", "annotations": []}


def test_in_progress_alone_is_preceded_by_created_only() -> None:
    assert types_of(relayed(numbered(lifecycle("response.in_progress")))) == ["created", "in_progress"]


def test_announcements_that_come_twice_are_dropped() -> None:
    twice = [lifecycle("response.created")] * 2 + [added(message(None))] * 2 + [part("added")] * 2 + [done(message("a"))] * 2
    out = relayed(numbered(*twice, COMPLETED))
    assert types_of(out) == ["created", "output_item.added", "content_part.added", "output_item.done", "completed"]
    assert_numbered(out)


def test_arguments_of_a_call_nobody_announced_wait_for_the_whole_call() -> None:
    fragment = {"type": "response.function_call_arguments.delta", "delta": "{", "item_id": "fc_1", "output_index": 0}
    out = relayed(numbered(lifecycle("response.created"), fragment, done(call("{}")), COMPLETED))
    assert types_of(out) == ["created", "output_item.added", "output_item.done", "completed"]
    assert events_of(out)[1]["item"]["arguments"] == ""
    assert_numbered(out)


def test_items_that_only_the_terminal_event_tells_of_are_finished_before_it() -> None:
    end = lifecycle("response.completed", output=[message("a"), call("{}")])
    out = relayed(numbered(lifecycle("response.created"), added(message(None)), part("added"), delta("a"), end))
    assert types_of(out)[4:] == ["output_item.done", "output_item.added", "output_item.done", "completed"]


# --- ids ---


def ids_of(out: bytes) -> set[str]:
    found = set()
    for event in events_of(out):
        found |= {event["item"]["id"]} if "item" in event else set()
        found |= {event["item_id"]} if "item_id" in event else set()
        found |= {item["id"] for item in event.get("response", {}).get("output", [])}
    return found


@pytest.mark.parametrize("final", [[], [message("ab", None)], [message("ab", "msg_other")]])
@pytest.mark.parametrize("stray", [None, "msg_stray"])
def test_an_item_without_id_keeps_the_one_it_is_given(stray: str | None, final: list[Any]) -> None:
    turn = [
        lifecycle("response.created"),
        added(message(None, None)),
        part("added", item_id="msg_elsewhere"),
        delta("a", stray),
        delta("b", stray),
        part("done", "ab", item_id="msg_elsewhere"),
        done(message("ab", stray)),
        lifecycle("response.completed", output=final),
    ]
    out = relayed(numbered(*turn))
    assert ids_of(out) == {"msg_minted1"}
    assert len(events_of(out)[-1]["response"]["output"]) == 1
    assert_numbered(out)


def test_deltas_without_place_belong_to_the_open_item() -> None:
    bare = {"type": "response.output_text.delta", "delta": "a"}
    event = events_of(relayed(numbered(lifecycle("response.created"), added(message(None), 4), bare)))[-1]
    assert (event["item_id"], event["output_index"], event["content_index"]) == ("msg_1", 4, 0)


def test_two_items_at_once_do_not_mix() -> None:
    turn = [added(message(None, None), 0), added(message(None, "msg_b"), 1)]
    turn += [delta(str(n), None, n % 2) for n in range(6)]
    out = [event for event in events_of(relayed(unnumbered(*turn))) if event["type"].endswith("delta")]
    assert [(event["item_id"], event["delta"]) for event in out] == [
        ("msg_b" if n % 2 else "msg_minted1", str(n)) for n in range(6)
    ]


def test_indices_that_begin_alike_are_told_apart() -> None:
    turn = [event for n in (1, 10, 100, 101) for event in (delta("x", f"msg_{n}", n), delta("y", f"msg_{n}", n))]
    out = relayed(unnumbered(*turn, *turn))
    assert types_of(out).count("output_item.added") == 4
    assert types_of(out).count("output_text.delta") == 16


# --- how it ends ---


def test_the_output_is_collected_in_the_order_of_its_index() -> None:
    relay = make_relay()
    relayed(unnumbered(done(call("{}"), 2), done(message("a"), 0), COMPLETED), relay)
    assert relay.terminal is not None
    assert [item["type"] for item in relay.terminal.output] == ["message", "function_call"]
    assert relay.terminal.response["output"] == relay.terminal.output
    assert relay.terminal.usage == Usage(input=11, cached=4, output=7, reasoning=2)
    assert relay.terminal.response["usage"]["input_tokens_details"] == {"cached_tokens": 4, "cache_write_tokens": 0}


def test_a_list_the_upstream_fills_is_used_and_completed() -> None:
    relay = make_relay()
    relayed(
        numbered(lifecycle("response.created"), lifecycle("response.completed", output=[message("x", None), "garbage"])), relay
    )
    assert relay.terminal is not None
    (item,) = relay.terminal.output
    assert (item["id"], item["status"], item["content"][0]["annotations"]) == ("msg_minted1", "completed", [])


def test_of_unfinished_items_only_a_message_with_a_finished_part_is_kept() -> None:
    turn = [lifecycle("response.created"), added(message(None)), part("added"), part("done", "half"), added(call(""), 1)]
    end = lifecycle("response.incomplete", incomplete_details={"reason": "max_output_tokens"})
    relay = make_relay()
    relayed(numbered(*turn, end), relay)
    assert relay.terminal is not None
    (item,) = relay.terminal.output
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", "half")
    assert relay.terminal.response["status"] == "incomplete"
    assert relay.terminal.response["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None},
        {"type": "error", "status": 429, "error": {"code": "rate_limit_exceeded", "message": "slow", "param": None}},
        {"type": "error", "error": {"type": "rate_limit_exceeded", "message": "slow", "param": None}},
        lifecycle("response.failed", error={"code": "rate_limit_exceeded", "message": "slow", "param": None}),
    ],
)
def test_every_way_of_failing_ends_as_response_failed(event: dict[str, Any]) -> None:
    relay = make_relay()
    out = relayed(numbered(lifecycle("response.created"), done(message("kept")), event), relay)
    assert types_of(out)[-1] == "failed"
    assert_numbered(out)
    assert relay.terminal is not None
    assert relay.terminal.response["error"] == {"code": "rate_limit_exceeded", "message": "slow"}
    assert relay.terminal.response["status"] == "failed"
    assert [item["id"] for item in relay.terminal.output] == ["msg_1"]
    assert relay.terminal.error["message"] == "slow"
    assert "sequence_number" not in relay.terminal.error


@pytest.mark.parametrize("response", [{}, {"error": None}, {"error": "text"}, {"error": {"code": 5, "message": []}}])
def test_a_failure_that_says_nothing_still_has_a_code_and_a_message(response: dict[str, Any]) -> None:
    relay = make_relay()
    relayed(frame("response.failed", {"type": "response.failed", "response": response}), relay)
    assert relay.terminal is not None
    assert relay.terminal.response["error"]["code"] == "server_error"
    assert relay.terminal.error


def test_a_stream_that_dies_is_ended_by_the_gateway() -> None:
    relay = make_relay()
    out = relay.feed(numbered(*full_turn("a", "b")[:7])) + relay.fail("server_error", "cut")
    assert types_of(out)[-1] == "failed"
    assert_numbered(out)
    assert relay.terminal is not None
    assert relay.terminal.error == {"code": "server_error", "message": "cut"}
    assert [item["type"] for item in relay.terminal.output] == ["reasoning"]


def test_a_stream_that_never_began_is_begun_and_ended_by_the_gateway() -> None:
    relay = make_relay()
    assert not relay.started
    assert types_of(relay.fail("server_error", "dead")) == ["created", "in_progress", "failed"]
    assert relay.started
    assert not relay.has_output


@pytest.mark.parametrize(
    "data",
    [
        "{oops",
        "[]",
        '"x"',
        '{"type":"response.completed"}',
        '{"response":null}',
        '{"response":' + "[" * 3000 + "]" * 3000 + "}",
    ],
)
def test_a_broken_terminal_event_is_none(data: str) -> None:
    relay = make_relay()
    with pytest.raises(InvalidFrame):
        relay.feed(frame("response.completed", data))
    assert relay.terminal is None
    assert types_of(relay.fail("server_error", "broken"))[-1] == "failed"


def test_a_broken_event_keeps_raising_and_loses_nothing_that_came_before() -> None:
    relay, turn = make_relay(), numbered(*full_turn("a")[:7])
    with pytest.raises(InvalidFrame):
        relay.feed(turn + b"data: {oops\n\n")
    with pytest.raises(InvalidFrame):
        relay.feed(turn)
    out = relay.fail("server_error", "broken")
    assert types_of(out) == [*types_of(turn), "failed"]


def test_a_character_that_no_store_takes_does_not_cost_the_answer() -> None:
    content = r'[{"type":"output_text","text":"a\u0000\ud83d"}]'
    relay = make_relay()
    relay.feed(frame("response.completed", '{"response":{"output":[{"type":"message","content":' + content + "}]}}"))
    assert relay.terminal is not None
    assert relay.terminal.output[0]["content"][0]["text"] == "a\ufffd\ufffd"


def test_what_has_been_relayed_is_told() -> None:
    relay = make_relay()
    relay.feed(numbered(lifecycle("response.created")) + VENDOR)
    assert (relay.started, relay.has_output, relay.last_event) == (True, False, "codex.rate_limits")
    relay.feed(numbered(added(message(None)), first=1))
    assert relay.has_output


@given(
    st.lists(
        st.sampled_from(
            [
                *full_turn("a", "b")[:-1],
                done(message("z", None), 5),
                delta("q", None),
                {"type": "response.output_item.added"},
                {"type": "response.output_item.done", "item": 5},
                {"type": "response.content_part.added", "part": None, "output_index": True},
                {"type": "response.content_part.done", "part": {"type": None}, "content_index": -1},
                {"type": "response.output_text.delta", "output_index": "x", "content_index": 2.5},
                {"type": "codex.numbered"},
            ]
        )
    ),
    st.booleans(),
)
def test_any_order_of_events_gives_announced_numbered_events_and_an_end(payloads: list[dict[str, Any]], numbers: bool) -> None:
    stream = (numbered if numbers else unnumbered)(*payloads, COMPLETED)
    out = events_of(relayed(stream))
    assert [event["sequence_number"] for event in out] == list(range(len(out)))
    assert [out[0]["type"], out[-1]["type"]] == ["response.created", "response.completed"]
    announced: dict[int, str] = {}
    for event in out:
        if event["type"] == "response.output_item.added":
            assert event["output_index"] not in announced
            announced[event["output_index"]] = event["item"]["id"]
        elif "output_index" in event:
            assert event.get("item_id", event.get("item", {}).get("id")) == announced[event["output_index"]]
    json.dumps(out, allow_nan=False)


def test_a_delta_that_cannot_be_numbered_breaks_the_stream() -> None:
    relay = make_relay()
    relay.feed(unnumbered(added(message(None)), delta("a")))
    with pytest.raises(InvalidFrame):
        relay.feed(unnumbered(delta("b")).replace(b'"logprobs":[]', b'"logprobs":{"sequence_number":1'))


def test_a_delta_that_names_another_item_than_the_first_did_is_corrected() -> None:
    begun = [lifecycle("response.created"), added(message(None)), part("added")]
    spoken = [delta("a"), delta("b", item_id="msg_other"), delta("c"), delta("d", item_id=None)]
    deltas = [event for event in events_of(relayed(numbered(*begun, *spoken))) if event["type"].endswith(".delta")]
    assert [(event["delta"], event["item_id"]) for event in deltas] == [(letter, "msg_1") for letter in "abcd"]


def test_a_completed_response_says_when_though_the_upstream_does_not() -> None:
    kinds = ("response.completed", "response.incomplete", "response.failed")
    ends = {kind: events_of(relayed(numbered(lifecycle(kind))))[-1]["response"]["completed_at"] for kind in kinds}
    assert ends == {"response.completed": FINISHED_AT, "response.incomplete": None, "response.failed": None}


def test_events_without_an_index_follow_the_id_they_name() -> None:
    first, second = ({"type": "response.output_item.added", "item": message(None, f"msg_{n}")} for n in (1, 2))
    late = {"type": "response.output_text.delta", "delta": "a", "content_index": 0, "item_id": "msg_1"}
    end = {"type": "response.output_item.done", "item": message("a", "msg_1")}
    out = events_of(relayed(unnumbered(first, second, late, end, end)))
    assert [event["output_index"] for event in out if "output_index" in event] == [0, 1, 0, 0, 0]


def test_a_refusal_out_of_nowhere_is_announced_as_one() -> None:
    refusal = {"type": "response.refusal.delta", "delta": "no", "item_id": "msg_1", "output_index": 0, "content_index": 0}
    assert events_of(relayed(unnumbered(refusal)))[3]["part"] == {"type": "refusal", "refusal": ""}


def test_a_final_item_of_another_type_is_not_taken_for_the_one_at_its_place() -> None:
    relay = make_relay()
    relayed(unnumbered(done(message("a")), lifecycle("response.completed", output=[call("{}", None)])), relay)
    assert relay.terminal is not None
    assert [item["id"] for item in relay.terminal.output] == ["fc_minted1"]


# --- what need not be read ---


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
"""Where an event is read, what no store takes is mended; else it is for the reader of the whole item."""


def unlike(event: dict[str, Any], number: int) -> bytes:
    """The event, spelt so that it has to be read."""
    return (
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number}, separators=(',', ': '))}\n\n".encode()
    )


@given(
    st.lists(
        st.one_of(
            st.builds(delta, TEXTS, st.sampled_from(["msg_1", "msg_1", "msg_1", "msg_2", None]), st.sampled_from([0, 0, 0, 1])),
            st.builds(delta, TEXTS, logprobs=st.just([{"token": "a", "item_id": "msg_1", "output_index": 0}])),
            st.sampled_from([part("added"), done(message("x")), {"type": "response.novelty"}, {"type": "codex.numbered"}]),
        ),
        max_size=12,
    ),
    st.integers(0, 2),
    st.lists(st.integers(0, 8000)),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_what_is_not_read_comes_out_as_if_it_had_been(
    payloads: list[dict[str, Any]], first: int, cuts: list[int], end: bytes
) -> None:
    turn = [lifecycle("response.created"), added(message(None)), delta("a"), *payloads, COMPLETED]
    stream = numbered(*turn, first=first).replace(b"\n", end)
    relay, edges = make_relay(), [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    out = b"".join(relay.feed(stream[a:b]) for a, b in itertools.pairwise(edges)) + relay.finish()
    read = relayed(b"".join(unlike(event, number) for number, event in enumerate(turn, first)))
    assert events_of(out) == events_of(read)
    assert_numbered(out)


@pytest.mark.parametrize("keys", ["delta first", "delta last"])
def test_a_gap_in_the_numbers_of_deltas_is_closed(keys: str) -> None:
    relay = make_relay()
    plain = [delta(text) for text in "abcd"]
    if keys == "delta last":
        plain = [{key: event[key] for key in sorted(event, key="delta".__eq__)} for event in plain]
    begun = [lifecycle("response.created"), added(message(None)), part("added")]
    out = relay.feed(numbered(*begun, *plain[:2])) + relay.feed(numbered(*plain[2:], first=7))
    assert_numbered(out)
    assert [event["delta"] for event in events_of(out) if "delta" in event] == list("abcd")
