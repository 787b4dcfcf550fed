"""Sample traffic for the demo: two callers whose conversations go on, fork, are compacted, miss the cache and fail."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from floway.providers.codex.simulated.answers import Event
from floway.providers.codex.simulated.backend import Backend
from floway.providers.codex.simulated.http import Request

_MODEL = "gpt-5.5"
_CUT = "(The demo's upstream breaks off here.)"
_EVENTS_BEFORE_THE_CUT = 9
_SECONDS = 60
_BRIEF = (
    "You help with a small web shop. " + "Prices are in euros, stock is counted nightly, refunds go through the desk. " * 90
)
_TOOLS = [{"type": "function", "name": "stock", "parameters": {"type": "object", "properties": {"sku": {"type": "string"}}}}]


class SampleBackend(Backend):
    """The simulated upstream, which breaks off where the sample asks for it."""

    def events(self, request: Request, account_id: str) -> Iterator[Event]:
        """See Backend."""
        whole = super().events(request, account_id)
        return islice(whole, _EVENTS_BEFORE_THE_CUT) if _CUT in json.dumps(request.json["input"][-1]) else whole


class SampleCaller:
    """One caller of the running gateway; `url` has no path."""

    def __init__(self, url: str, key: str) -> None:
        self._address = urlsplit(url).netloc
        self._key = key

    def converse(self) -> None:
        """A conversation continued by ids: it goes on, forks, is compacted, goes on, and is cut once."""
        said = self._say([_message(_BRIEF), _message("What do we sell?")])
        for text in ("Who buys it?", "What do they ask most?"):
            said = self._say([_message(text)], previous=said)
        self._say([_message("Write that down as a list.")], previous=said)
        other = self._say([_message("Write that down as a table.")], previous=said)
        self._say([_message("Shorter, please.")], previous=other)
        compacted = self._send("/v1/responses/compact", {"model": _MODEL, "previous_response_id": said})
        after = self._say([_message("Where were we?")], previous=compacted)
        self._say([_message(f"Tell me everything. {_CUT}")], previous=after)
        self._say([_message("Once more, then.")], previous=after)

    def resend(self) -> None:
        """A conversation whose caller sends its whole history: once with other tools, once with its beginning changed."""
        session = {"session-id": "01930000-0000-7000-8000-00000000d3a0"}
        history = [_message(_BRIEF), _message("Plan the week.")]
        for text, tools, brief in (
            ("And the weekend?", [], _BRIEF),
            ("Is there stock?", _TOOLS, _BRIEF),
            ("And on Monday?", _TOOLS, f"Today is Monday. {_BRIEF}"),
        ):
            history = [_message(brief), *history[1:], _message(text)]
            self._send("/v1/responses", {"model": _MODEL, "input": history, "tools": tools, "store": False}, session)

    def fail(self) -> None:
        """What callers get wrong."""
        self._say([_message("Hello?")], previous="resp_0000000000000000000000000000000000000000000000aa")
        self._send("/v1/responses", {"model": "no-such-model", "input": "Hello?"})
        self._send("/v1/responses", {"model": _MODEL, "input": 7})

    def _say(self, items: list[Any], previous: str | None = None) -> str:
        body = {"model": _MODEL, "input": items, "stream": True, "temperature": 0.2}
        return self._send("/v1/responses", body if previous is None else {**body, "previous_response_id": previous})

    def _send(self, path: str, body: Any, headers: dict[str, str] | None = None) -> str:
        """The id of the response; empty where there is none."""
        connection = http.client.HTTPConnection(self._address, timeout=_SECONDS)
        try:
            stated = {"authorization": f"Bearer {self._key}", "content-type": "application/json", **(headers or {})}
            connection.request("POST", path, json.dumps(body), stated)
            answer = connection.getresponse().read().decode()
        finally:
            connection.close()
        return _response_id(answer)


def _response_id(answer: str) -> str:
    if answer.startswith("{"):
        return str(json.loads(answer).get("id", ""))
    first = next((line for line in answer.splitlines() if line.startswith("data: {")), "data: {}")
    return str(json.loads(first[len("data: ") :]).get("response", {}).get("id", ""))


def _message(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
