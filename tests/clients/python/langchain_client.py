"""LangChain's ChatOpenAI over the Responses API."""

from __future__ import annotations

from typing import Any

import openai
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from seeing import CALL_ADD, KEY, MODEL, URL, sees, tell


class City(BaseModel):
    """A city."""

    name: str
    population: int


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def chat(**over: Any) -> Any:
    return ChatOpenAI(model=over.pop("model", MODEL), base_url=URL, api_key=KEY, use_responses_api=True, **over)


@sees("create")
def create() -> None:
    answer = chat().invoke("Hello")
    assert "Hello" in answer.text
    assert answer.usage_metadata["total_tokens"] > 0


@sees("stream")
def stream() -> None:
    pieces = list(chat().stream("Hello"))
    assert len(pieces) > 3
    assert "Hello" in "".join(piece.text for piece in pieces)


@sees("structured")
def structured() -> None:
    assert chat().with_structured_output(City, method="json_schema").invoke("Paris") == City(name="Paris", population=3)


@sees("tools")
def tools() -> None:
    bound, asked = chat().bind_tools([add]), HumanMessage(CALL_ADD)
    answer: AIMessage = bound.invoke([asked])
    (call,) = answer.tool_calls
    result = ToolMessage(str(add.invoke(call["args"])), tool_call_id=call["id"])
    assert "The tool answered: 5" in bound.invoke([asked, answer, result]).text


@sees("continue")
def go_on() -> None:
    talking = chat(use_previous_response_id=True)
    first = talking.invoke("My name is Ada.")
    history = [HumanMessage("My name is Ada."), first, HumanMessage("And now?")]
    assert "My name is Ada." in talking.invoke(history).text
    assert "My name is Ada." in chat(store=False, include=["reasoning.encrypted_content"]).invoke(history).text


@sees("errors")
def errors() -> None:
    try:
        chat(model="gpt-none").invoke("x")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError("no error")


tell("langchain-openai")
