"""Stored responses, through the OpenAI Python SDK against a served gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.fakes import faults
from tests.fakes.caller import Caller
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import until

pytestmark = pytest.mark.sdk

MODEL = "gpt-5.5"


@pytest.fixture
def client(served_caller: Caller) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served_caller.url}/v1", api_key=served_caller.key, max_retries=0) as made:
        yield made


def strict(model: Any) -> Any:
    """The object, once it has passed the SDK's own types with nothing forgiven."""
    type(model).model_validate(model.model_dump(), strict=False)
    model.model_dump_json(warnings="error")
    return model


def test_a_response_is_retrieved_listed_and_deleted(client: OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="Hello", metadata={"topic": "greeting"})
    assert strict(client.responses.retrieve(made.id)) == made
    assert made.metadata == {"topic": "greeting"}
    second = client.responses.create(model=MODEL, input="And now?", previous_response_id=made.id)
    items = list(client.responses.input_items.list(second.id, limit=2, order="asc"))
    assert [strict(item).type for item in items] == ["message", "reasoning", "message", "message"]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    assert "Hello" in client.responses.create(model=MODEL, input="x", previous_response_id=second.id).output_text


def test_a_model_is_retrieved(client: OpenAI) -> None:
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-none")


def test_a_response_in_the_background_is_polled_streamed_and_cancelled(client: OpenAI, upstream: FakeUpstream) -> None:
    made = strict(client.responses.create(model=MODEL, input="Hello", background=True))
    assert made.status == "queued"
    until(lambda: client.responses.retrieve(made.id).status == "completed")
    strict(client.responses.retrieve(made.id))
    with client.responses.retrieve(made.id, stream=True, starting_after=1) as events:
        seen = list(events)
    assert [seen[0].sequence_number, seen[-1].type] == [2, "response.completed"]
    parting = faults.Parting()
    upstream.script(faults.hang_after(8, parting))
    with client.responses.create(model=MODEL, input="Hello", background=True, stream=True) as events:
        first = next(iter(events))
    assert first.type == "response.created"
    assert strict(client.responses.cancel(first.response.id)).status == "cancelled"
    assert parting.left.wait(5)


def test_a_conversation_is_kept_added_to_and_gone_on_with(client: OpenAI) -> None:
    made = strict(
        client.conversations.create(metadata={"topic": "demo"}, items=[{"role": "user", "content": "My name is Ada."}])
    )
    assert strict(client.conversations.update(made.id, metadata={"topic": "names"})).metadata == {"topic": "names"}
    response = strict(client.responses.create(model=MODEL, input="What is my name?", conversation=made.id))
    assert "My name is Ada." in response.output_text
    assert response.conversation is not None
    assert response.conversation.id == made.id
    added = client.conversations.items.create(made.id, items=[{"type": "message", "role": "user", "content": "Thanks."}])
    assert [strict(item).type for item in added.data] == ["message"]
    items = list(client.conversations.items.list(made.id, order="asc", limit=2))
    assert [strict(item).type for item in items] == ["message", "message", "reasoning", "message", "message"]
    assert strict(client.conversations.items.retrieve(items[0].id, conversation_id=made.id)) == items[0]
    assert client.conversations.items.delete(items[0].id, conversation_id=made.id).id == made.id
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)
