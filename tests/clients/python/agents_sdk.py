"""The OpenAI Agents SDK."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel
from seeing import CALL_ADD, KEY, MODEL, URL, sees, tell

set_tracing_disabled(True)


class City(BaseModel):
    name: str
    population: int


@function_tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def agent(**over: Any) -> Any:
    client = AsyncOpenAI(base_url=URL, api_key=KEY)
    return Agent(name="tester", model=OpenAIResponsesModel(MODEL, client), **over)


def run(who: Any, text: str, **over: Any) -> Any:
    return asyncio.run(Runner.run(who, text, max_turns=4, **over))


@sees("create")
def create() -> None:
    assert "Hello" in run(agent(instructions="Be brief."), "Hello").final_output


@sees("stream")
def stream() -> None:
    async def heard() -> tuple[str, str]:
        streamed = Runner.run_streamed(agent(), "Hello")
        deltas = [
            event.data.delta
            async for event in streamed.stream_events()
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
        ]
        return "".join(deltas), streamed.final_output

    deltas, final = asyncio.run(heard())
    assert deltas == final
    assert "Hello" in final


@sees("structured")
def structured() -> None:
    assert run(agent(output_type=City), "Paris").final_output == City(name="Paris", population=3)


@sees("tools")
def tools() -> None:
    assert "The tool answered: 5" in run(agent(tools=[add]), CALL_ADD).final_output
    assert "The tool answered: 5" in run(agent(tools=[add], model_settings=ModelSettings(store=False)), CALL_ADD).final_output


@sees("continue")
def go_on() -> None:
    first = run(agent(), "My name is Ada.")
    assert "My name is Ada." in run(agent(), "And now?", previous_response_id=first.last_response_id).final_output
    again = asyncio.run(Runner.run(agent(), [*first.to_input_list(), {"role": "user", "content": "And now?"}]))
    assert "My name is Ada." in again.final_output


@sees("conversations")
def conversations() -> None:
    async def talk() -> str:
        client = AsyncOpenAI(base_url=URL, api_key=KEY)
        session = OpenAIConversationsSession(openai_client=client)
        who = Agent(name="tester", model=OpenAIResponsesModel(MODEL, client))
        await Runner.run(who, "My name is Ada.", session=session)
        answer = (await Runner.run(who, "And now?", session=session)).final_output
        await session.clear_session()
        return str(answer)

    assert "My name is Ada." in asyncio.run(talk())


tell("openai-agents")
