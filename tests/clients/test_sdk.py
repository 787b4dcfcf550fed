"""The OpenAI Python SDK against a served gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.fakes import faults
from tests.fakes.caller import Caller
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.sdk

MODEL = "gpt-5.5"


class City(BaseModel):
    name: str
    population: int


ADD: Any = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
}


@pytest.fixture
def client(served_caller: Caller) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served_caller.url}/v1", api_key=served_caller.key, max_retries=0) as made:
        yield made


def test_create_gives_a_response_with_text_and_usage(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Hello from the SDK")
    assert response.status == "completed"
    assert "Hello from the SDK" in response.output_text
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    response.model_dump_json(warnings="error")


def test_create_with_stream_gives_typed_events(client: OpenAI) -> None:
    with client.responses.create(model=MODEL, input="Hello", stream=True) as events:
        kinds = [event.type for event in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_the_stream_helper_accumulates_the_final_response(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Hello", instructions="Be brief.") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text
    assert "Hello" in final.output_text


def test_a_conversation_goes_on_by_previous_response_id(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="My name is Ada.")
    second = client.responses.create(model=MODEL, input="What is my name?", previous_response_id=first.id)
    assert "My name is Ada." in second.output_text
    assert second.previous_response_id == first.id


@pytest.mark.parametrize("streamed", [False, True])
def test_a_function_is_called_and_its_result_understood(client: OpenAI, streamed: bool) -> None:
    question = 'call add with {"a": 2, "b": 3}'
    if streamed:
        with client.responses.stream(model=MODEL, input=question, tools=[ADD]) as stream:
            first: Any = stream.get_final_response()
    else:
        first = client.responses.create(model=MODEL, input=question, tools=[ADD])
    call = next(item for item in first.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)) == ("add", {"a": 2, "b": 3})
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "5"}
    second = client.responses.create(model=MODEL, input=[output], tools=[ADD], previous_response_id=first.id)
    assert "The tool answered: 5" in second.output_text


def test_a_structured_output_is_parsed(client: OpenAI) -> None:
    expected = City(name="Paris", population=3)
    assert client.responses.parse(model=MODEL, input="Paris", text_format=City).output_parsed == expected
    with client.responses.stream(model=MODEL, input="Paris", text_format=City) as stream:
        assert stream.get_final_response().output_parsed == expected


def test_a_compaction_is_gone_on_with(client: OpenAI) -> None:
    compacted = client.responses.compact(model=MODEL, input=[{"role": "user", "content": "Hello"}])
    history: list[Any] = [
        *(item.model_dump(exclude_none=True, warnings=False) for item in compacted.output),
        {"role": "user", "content": "x"},
    ]
    assert client.responses.create(model=MODEL, input=history).status == "completed"


def test_the_output_can_be_sent_back_as_input(client: OpenAI) -> None:
    history: list[Any] = [{"role": "user", "content": "one"}]
    first = client.responses.create(model=MODEL, input=history, store=False, include=["reasoning.encrypted_content"])
    history += first.output
    history.append({"role": "user", "content": "two"})
    second = client.responses.create(model=MODEL, input=history, store=False, include=["reasoning.encrypted_content"])
    assert '"one"' in second.output_text


def test_models_are_listed(client: OpenAI) -> None:
    assert MODEL in {model.id for model in client.models.list()}


def test_a_permanent_refusal_is_not_tried_again_and_a_passing_one_is(client: OpenAI, upstream: FakeUpstream) -> None:
    patient = client.with_options(max_retries=2)
    with pytest.raises(openai.NotFoundError):
        patient.responses.create(model="gpt-nonsense", input="x")
    assert len(upstream.turns) == 1
    upstream.script(faults.rate_limited(1))
    assert patient.responses.create(model=MODEL, input="x").status == "completed"
    assert len(upstream.turns) == 3


def test_a_stream_that_breaks_off_ends_in_a_failure_the_sdk_understands(client: OpenAI, upstream: FakeUpstream) -> None:
    upstream.script(faults.cut_after(6))
    with client.responses.create(model=MODEL, input="Hello", stream=True) as events:
        last: Any = list(events)[-1]
    assert last.type == "response.failed"
    assert last.response.error.code == "server_error"


def test_errors_are_the_sdks_own_kinds(client: OpenAI, upstream: FakeUpstream, served: Served) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model="gpt-nonsense", input="x")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as previous:
        client.responses.create(model=MODEL, input="x", previous_response_id="resp_unknown")
    assert previous.value.code == "previous_response_not_found"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="fw_unknown").responses.create(model=MODEL, input="x")
    upstream.script(faults.usage_limit_reached(int(time.time()) + 3600))
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=MODEL, input="x")
    # The gateway's only login would rest until its reset.
    served.ask("[__import__('accounts.cooling').cooling.clear(login.pk) for login in OAuthCredential.objects.all()]")


def test_a_spent_budget_raises_at_once_and_tells_what_is_left(served: Served, served_caller: Caller) -> None:
    key = served.manage("issue_key", "spent", "--requests", "1/month").splitlines()[-1]
    with OpenAI(base_url=f"{served_caller.url}/v1", api_key=key, max_retries=2) as made:
        first = made.responses.with_raw_response.create(model=MODEL, input="Hello")
        assert first.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as raised:
            made.responses.create(model=MODEL, input="Hello")
    assert raised.value.code == "insufficient_quota"
    asked = "Exchange.objects.filter(api_key__name='spent').count()"
    assert served.ask(asked) == "2"
