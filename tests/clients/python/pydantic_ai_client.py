"""pydantic-ai over the Responses API."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider
from seeing import CALL_ADD, KEY, MODEL, URL, sees, tell


class City(BaseModel):
    name: str
    population: int


def agent(model: str = MODEL, **over: Any) -> Any:
    return Agent(OpenAIResponsesModel(model, provider=OpenAIProvider(base_url=URL, api_key=KEY)), **over)


@sees("create")
def create() -> None:
    answer = agent(instructions="Be brief.").run_sync("Hello")
    assert "Hello" in answer.output


@sees("stream")
def stream() -> None:
    async def heard() -> str:
        async with agent().run_stream("Hello") as answer:
            return "".join([piece async for piece in answer.stream_text(delta=True, debounce_by=None)])

    assert "Hello" in asyncio.run(heard())


@sees("structured")
def structured() -> None:
    assert agent(output_type=NativeOutput(City)).run_sync("Paris").output == City(name="Paris", population=3)


@sees("tools")
def tools() -> None:
    calculator = agent()

    @calculator.tool_plain
    def add(a: int, b: int) -> int:
        return a + b

    assert "The tool answered: 5" in calculator.run_sync(CALL_ADD).output


@sees("continue")
def go_on() -> None:
    first = agent().run_sync("My name is Ada.")
    assert "My name is Ada." in agent().run_sync("And now?", message_history=first.all_messages()).output
    settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto")
    again = agent().run_sync("And now?", message_history=first.all_messages(), model_settings=settings)
    assert "My name is Ada." in again.output


@sees("errors")
def errors() -> None:
    try:
        agent("gpt-none").run_sync("x")
    except ModelHTTPError as error:
        assert error.status_code == 404
    else:
        raise AssertionError("no error")


tell("pydantic-ai-slim")
