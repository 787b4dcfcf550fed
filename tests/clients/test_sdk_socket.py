"""The OpenAI Python SDK over a WebSocket to a served gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.fakes.caller import Caller

pytestmark = pytest.mark.sdk

MODEL = "gpt-5.5"


@pytest.fixture
def connection(served_caller: Caller) -> Iterator[Any]:
    with (
        OpenAI(base_url=f"{served_caller.url}/v1", api_key=served_caller.key) as client,
        client.responses.connect() as connected,
    ):
        yield connected


def ended(connection: Any) -> Any:
    return next(event for event in connection if event.type in {"response.completed", "response.failed", "error"})


def test_turns_over_a_connection_go_on_without_being_stored(connection: Any) -> None:
    connection.response.create(model=MODEL, input="My name is Ada.", store=False)
    first = ended(connection)
    connection.response.create(model=MODEL, input="What is my name?", store=False, previous_response_id=first.response.id)
    second = ended(connection)
    assert "My name is Ada." in second.response.output_text
    second.model_dump_json(warnings="error")


def test_an_error_is_an_event_and_the_connection_stays(connection: Any) -> None:
    connection.response.create(model=MODEL, input="x", previous_response_id="resp_unknown")
    told = ended(connection)
    assert (told.type, told.status, told.error.code) == ("error", 400, "previous_response_not_found")
    connection.response.create(model=MODEL, input="still there")
    assert ended(connection).type == "response.completed"
