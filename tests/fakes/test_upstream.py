"""The fake upstream itself: it answers, refuses and remembers as it says."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import faults
from tests.fakes.tokens import ALICE, BOB, LONG_AGO, LONG_FROM_NOW
from tests.fakes.upstream import RESPONSES, FakeUpstream

ID = "01a2063e-1523-76f1-81eb-71db3c59b420"


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    upstream = FakeUpstream(socket.create_server(("127.0.0.1", 0)))
    upstream.start()
    yield upstream
    upstream.stop()


def turn(**over: Any) -> dict[str, Any]:
    metadata = dict.fromkeys(("session_id", "thread_id", "turn_id", "installation_id"), ID) | {"window_id": f"{ID}:0"}
    client = {"session_id": ID, "thread_id": ID, "turn_id": ID, "x-codex-window-id": f"{ID}:0", "x-codex-installation-id": ID}
    return {
        "model": "gpt-5.5",
        "stream": True,
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
        "store": False,
        "prompt_cache_key": ID,
        "client_metadata": {**client, "x-codex-turn-metadata": json.dumps(metadata)},
        **over,
    }


def ask(fake: FakeUpstream, body: dict[str, Any], *, token: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", int(fake.url.rpartition(":")[2]))
    headers = {
        "x-codex-window-id": f"{ID}:0",
        "x-codex-turn-metadata": body["client_metadata"]["x-codex-turn-metadata"],
        "x-client-request-id": ID,
        "session-id": ID,
        "thread-id": ID,
        "authorization": f"Bearer {token or ALICE.access_token(LONG_FROM_NOW)}",
        "chatgpt-account-id": ALICE.account_id,
    }
    connection.request("POST", RESPONSES, json.dumps(body), headers)
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


def events_of(raw: bytes) -> list[Any]:
    lines = [line for line in raw.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_it_answers_with_numbered_and_vendor_events_and_an_empty_output(fake: FakeUpstream) -> None:
    status, raw = ask(fake, turn(include=["reasoning.encrypted_content"]))
    events = events_of(raw)
    numbers = [event["sequence_number"] for event in events if "sequence_number" in event]
    assert status == 200
    assert numbers == list(range(len(numbers)))
    assert {event["type"] for event in events if "sequence_number" not in event} == {
        "codex.rate_limits",
        "response.metadata",
        "responsesapi.timing",
    }
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"] == []
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["reasoning", "message"]
    assert '"hello"' in done[1]["content"][0]["text"]


def test_it_calls_a_tool_that_the_user_names(fake: FakeUpstream) -> None:
    words = [{"type": "message", "role": "user", "content": 'please call add with {"a": 1}'}]
    _, raw = ask(fake, turn(input=words, tools=[{"type": "function", "name": "add", "parameters": {}}]))
    done = [event["item"] for event in events_of(raw) if event["type"] == "response.output_item.done"]
    assert (done[0]["type"], done[0]["name"], done[0]["arguments"]) == ("function_call", "add", '{"a": 1}')


def test_it_compacts_when_the_input_ends_in_a_trigger(fake: FakeUpstream) -> None:
    _, raw = ask(fake, turn(input=[*turn()["input"], {"type": "compaction_trigger"}]))
    done = [event["item"] for event in events_of(raw) if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["compaction"]


def test_a_prompt_sent_before_is_cached(fake: FakeUpstream) -> None:
    ask(fake, turn())
    _, raw = ask(fake, turn())
    usage = events_of(raw)[-1]["response"]["usage"]
    assert usage["input_tokens_details"]["cached_tokens"] == usage["input_tokens"] > 0


@pytest.mark.parametrize(
    ("over", "status", "words"),
    [
        ({"stream": False}, 400, "Stream must be set to true"),
        ({"store": True}, 400, "Store must be set to false"),
        ({"previous_response_id": "resp_1"}, 400, "Unsupported parameter: previous_response_id"),
        ({"temperature": 1}, 400, "Unsupported parameter: temperature"),
        ({"input": "hello"}, 400, "Input must be a list"),
        ({"model": "gpt-4o"}, 400, "The 'gpt-4o' model is not supported when using Codex with a ChatGPT account."),
        ({"input": [{"role": "system", "content": "x"}]}, 400, "System messages are not allowed"),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, 404, "not found"),
        ({"input": [{"type": "message", "id": "x_1", "role": "user", "content": "x"}]}, 400, "begins with 'msg'"),
    ],
)
def test_it_refuses_what_the_backend_refuses(fake: FakeUpstream, over: dict[str, Any], status: int, words: str) -> None:
    answer = ask(fake, turn(**over))
    assert answer[0] == status
    assert words in answer[1].decode()


@pytest.mark.parametrize("token", ["rubbish", BOB.access_token(LONG_FROM_NOW), ALICE.access_token(LONG_AGO)])
def test_it_refuses_a_bearer_that_is_not_the_accounts_or_has_run_out(fake: FakeUpstream, token: str) -> None:
    assert ask(fake, turn(), token=token)[0] == 401


def test_ciphertext_of_another_account_is_refused(fake: FakeUpstream) -> None:
    _, raw = ask(fake, turn(include=["reasoning.encrypted_content"]))
    item = next(event["item"] for event in events_of(raw) if event["type"] == "response.output_item.done")
    assert ask(fake, turn(input=[item]))[0] == 200
    item["encrypted_content"] = item["encrypted_content"].replace("gAAAAA-simulated.", "gAAAAA-simulated.Qm9i")
    status, answer = ask(fake, turn(input=[item]))
    assert (status, json.loads(answer)["error"]["code"]) == (400, "invalid_encrypted_content")


def test_a_refresh_token_works_once(fake: FakeUpstream) -> None:
    def exchange(token: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", int(fake.url.rpartition(":")[2]))
        connection.request("POST", "/oauth/token", json.dumps({"grant_type": "refresh_token", "refresh_token": token}))
        answer = connection.getresponse()
        result = answer.status, json.loads(answer.read())
        connection.close()
        return result

    status, tokens = exchange(ALICE.refresh_token())
    assert status == 200
    assert tokens["refresh_token"] != ALICE.refresh_token()
    assert exchange(ALICE.refresh_token())[1]["error"]["code"] == "refresh_token_reused"
    assert exchange("rt_unknown")[1]["error"]["code"] == "refresh_token_invalidated"
    assert len(fake.exchanges) == 3


def test_it_notices_surfaces_that_disagree(fake: FakeUpstream) -> None:
    body = turn(prompt_cache_key="another")
    body["client_metadata"]["session_id"] = "another"
    ask(fake, body)
    assert any("cache key differ" in found for found in fake.violations)
    assert any("session differs" in found for found in fake.violations)


def test_it_notices_when_the_other_side_leaves(fake: FakeUpstream) -> None:
    parting = faults.Parting()
    fake.script(faults.hang_after(2, parting))
    with socket.create_connection(("127.0.0.1", int(fake.url.rpartition(":")[2]))) as sock:
        body = json.dumps(turn()).encode()
        head = f"POST {RESPONSES} HTTP/1.1\r\nauthorization: Bearer {ALICE.access_token(LONG_FROM_NOW)}\r\n"
        head += f"chatgpt-account-id: {ALICE.account_id}\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        assert parting.waiting.wait(10)
        assert not parting.left.is_set()
    assert parting.left.wait(10)
