"""`POST /v1/responses/compact`: what a conversation consists of from now on."""

from __future__ import annotations

import json

from responses_app.models import Exchange, Snapshot
from tests.conftest import Gateway
from tests.fakes.upstream import FakeUpstream


def window(upstream: FakeUpstream, turn: int) -> str:
    return (upstream.turns[turn].header("x-codex-window-id") or "").rpartition(":")[2]


def test_a_conversation_is_compacted_and_goes_on_in_its_next_window(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say("remember the number 7").json
    reply = gateway.post({"model": "gpt-5.5", "previous_response_id": first["id"]}, path="/v1/responses/compact")
    assert reply.status == 200, reply.body
    compacted = reply.json
    assert compacted["object"] == "response.compaction"
    assert [item.get("role") or item["type"] for item in compacted["output"]] == ["user", "compaction"]
    assert compacted["usage"]["input_tokens"] > 0
    after = gateway.say("which number?", previous=compacted["id"])
    assert after.status == 200, after.body
    assert [item.get("role") or item["type"] for item in upstream.bodies[2]["input"]] == ["user", "compaction", "user"]
    assert [window(upstream, n) for n in range(3)] == ["0", "0", "1"]


def test_what_goes_upstream_is_the_trigger_and_the_truth_about_it(gateway: Gateway, upstream: FakeUpstream) -> None:
    items = [{"type": "message", "role": "user", "content": "a"}, {"type": "message", "role": "assistant", "content": "b"}]
    gateway.post({"model": "gpt-5.5", "input": items, "store": False}, path="/v1/responses/compact")
    assert upstream.bodies[0]["input"][-1] == {"type": "compaction_trigger"}
    metadata = json.loads(upstream.bodies[0]["client_metadata"]["x-codex-turn-metadata"])
    assert metadata["request_kind"] == "compaction"
    assert metadata["compaction"]["trigger"] == "manual"
    assert not Snapshot.objects.get().stored
    assert Exchange.objects.get().action == "compact"


def test_what_came_back_can_be_sent_by_a_caller_that_keeps_its_own_history(gateway: Gateway, upstream: FakeUpstream) -> None:
    items = [{"type": "message", "role": "user", "content": "a"}]
    kept = gateway.post({"model": "gpt-5.5", "input": items, "store": False}, path="/v1/responses/compact").json["output"]
    reply = gateway.post({"model": "gpt-5.5", "input": [*kept, {"role": "user", "content": "go on"}], "store": False})
    assert reply.status == 200, reply.body
    assert upstream.bodies[1]["input"][1]["type"] == "compaction"


def test_an_upstream_that_does_not_compact_is_an_error_and_not_an_empty_window(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    from tests.fakes import faults

    upstream.script(faults.ended_after(2))
    reply = gateway.post({"model": "gpt-5.5", "input": "a"}, path="/v1/responses/compact")
    assert reply.status == 503
    assert not Snapshot.objects.exists()
