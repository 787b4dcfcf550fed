"""A caller of the gateway: plain HTTP, every event and header in sight."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Event = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """A whole answer. `headers` has lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Event]:
        """The body's events."""
        return [event for event in map(parsed, frames_of(self.body)) if event is not None]

    @property
    def error(self) -> Any:
        """The envelope's content; it has all four keys."""
        error = self.json["error"]
        assert {"message", "type", "param", "code"} <= set(error), error
        return error


def frames_of(body: bytes) -> list[bytes]:
    """A stream cut at its blank lines."""
    return [part for part in body.split(b"\n\n") if part]


def parsed(frame: bytes) -> Event | None:
    """A frame's event; None for a comment."""
    lines = frame.decode().split("\n")
    if all(line.startswith(":") for line in lines):
        return None
    name, data = lines
    event: Event = json.loads(data.removeprefix("data: "))
    assert name == f"event: {event['type']}", frame
    return event


class Stream:
    """An answer that is still arriving."""

    def __init__(self, answer: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> None:
        self._answer = answer
        self._connection = connection
        self._rest = b""
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}

    def read(self) -> bytes:
        """What has come by now, waiting for the first byte."""
        return self._answer.read1(65536)

    def events(self) -> Iterator[Event]:
        """Events as they arrive, until the end."""
        while data := self.read():
            *whole, self._rest = (self._rest + data).split(b"\n\n")
            yield from (event for event in map(parsed, whole) if event is not None)
        assert self._rest == b""

    def next(self, kind: str) -> Event:
        """The next event of a type."""
        return next(event for event in self.events() if event["type"] == kind)

    def leave(self) -> None:
        """Hang up."""
        self._answer.close()
        self._connection.close()


@dataclass
class Caller:
    """Calls one gateway with one key."""

    url: str
    key: str = field(repr=False, default="")
    timeout: float = 30

    def post(self, body: Any, path: str = "/v1/responses", **headers: str) -> Reply:
        """A whole answer. `headers` override the usual ones; an underscore in a name stands for a hyphen."""
        return self.send("POST", path, _encoded(body), self.headers(headers))

    def get(self, path: str, **headers: str) -> Reply:
        """A whole answer."""
        return self.send("GET", path, None, self.headers(headers))

    def say(self, text: str, *, previous: str | None = None, **over: Any) -> Reply:
        """A turn, not streamed."""
        return self.post(turn(text, previous=previous, **over))

    def send(self, method: str, path: str, body: bytes | Iterator[bytes] | None, headers: dict[str, str]) -> Reply:
        """A whole answer to exactly this."""
        connection = self._connect()
        try:
            with suppress(BrokenPipeError):  # who is refused early hears why, as with the usual clients
                connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    @contextmanager
    def stream(self, body: Any, **headers: str) -> Iterator[Stream]:
        """A streamed turn, hung up at the end."""
        connection = self._connect()
        answer = None
        try:
            connection.request("POST", "/v1/responses", _encoded({**body, "stream": True}), self.headers(headers))
            answer = connection.getresponse()
            yield Stream(answer, connection)
        finally:
            if answer is not None:
                answer.close()
            connection.close()

    def headers(self, over: dict[str, str]) -> dict[str, str]:
        """Key and content type, and whatever is said."""
        usual = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        return {**usual, **{name.replace("_", "-"): value for name, value in over.items()}}

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout)


def turn(text: str, *, previous: str | None = None, **over: Any) -> dict[str, Any]:
    """A request's body."""
    body: dict[str, Any] = {"model": "gpt-5.5", "input": text, **over}
    return body if previous is None else {**body, "previous_response_id": previous}


def text_of(response: Any) -> str:
    """The words of a Response object."""
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


def _encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()
