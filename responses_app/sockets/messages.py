"""What stands in the messages of a socket: a caller's events in, the stream's events and errors out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from floway.wire import events
from floway.wire.errors import ApiError, InvalidRequest
from floway.wire.json import JSON, JSONObject, dumps
from floway.wire.sse import Frame, FrameDecoder

CREATE = "response.create"
_OF_THE_MESSAGE = frozenset({"type", "event_id", "generate", "response"})
_LONGEST_EVENT_ID = 512


@dataclass(frozen=True, slots=True)
class Create:
    """A turn asked for.

    :param body: as it would stand in a POST. :param generate: False: only to remember what it brings.
    """

    body: JSONObject = field(repr=False)
    generate: bool = True

    @property
    def previous(self) -> str:
        """The response that it continues, or an empty string."""
        previous = self.body.get("previous_response_id")
        return previous if isinstance(previous, str) else ""


def event_id(message: JSONObject) -> str | None:
    """What the caller calls its message, to be said again with an error."""
    said = message.get("event_id")
    return said if isinstance(said, str) and len(said) <= _LONGEST_EVENT_ID else None


def create(message: JSONObject) -> Create:
    """The turn that a message asks for; its parameters stand in `response`, or beside the type.

    :raises InvalidRequest: it asks for something else.
    """
    if message.get("type") != CREATE:
        raise InvalidRequest(f"'type' must be '{CREATE}'.", param="type", code="invalid_value")
    nested = message.get("response")
    if nested is not None and not isinstance(nested, dict):
        raise InvalidRequest("'response' must be an object.", param="response", code="invalid_type")
    generate = message.get("generate", nested.get("generate") if nested else None)
    if not isinstance(generate, bool | None):
        raise InvalidRequest("'generate' must be a boolean.", param="generate", code="invalid_type")
    said: JSONObject = message if nested is None else nested
    if "stream_id" in message or "stream_id" in said:
        raise InvalidRequest(
            "One connection takes one turn at a time; open another one.", param="stream_id", code="unsupported_parameter"
        )
    if said.get("background") is True:
        raise InvalidRequest(
            "A connection takes no turn in the background; ask for it with a POST.",
            param="background",
            code="unsupported_parameter",
        )
    body = {key: value for key, value in said.items() if key not in _OF_THE_MESSAGE}
    return Create({**body, "stream": True}, generate is not False)


def error(problem: ApiError, status: int, headers: Mapping[str, str], event: str | None) -> str:
    """The event that tells of a refusal: what a POST would have been answered, in one object."""
    told: dict[str, JSON] = {"type": events.ERROR, "status": status, **problem.envelope(), "headers": dict(headers)}
    if event is not None:
        told["event_id"] = event
    return text(told)


def text(event: JSONObject) -> str:
    """An event as it is sent."""
    return dumps(event).decode()


class Unpacked:
    """A turn's event stream as messages: the data of each event, whose type stands in it."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()

    def feed(self, piece: bytes) -> Iterator[str]:
        """The messages in a piece of the stream; comments are none."""
        for frame in self._decoder.feed(piece):
            if frame.data:
                yield _typed(frame)


def _typed(frame: Frame) -> str:
    data = frame.data or b""
    if frame.event is None or b'"type":"%b"' % frame.event.encode() in data:
        return data.decode("utf-8", "replace")
    return text({**events.payload_of(frame), "type": frame.event})
