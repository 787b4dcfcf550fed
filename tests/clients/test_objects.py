"""Stored responses, through the OpenAI Python SDK against a served gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.fakes.caller import Caller

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
