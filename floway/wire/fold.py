"""From an upstream's event stream to the one its caller gets, frame by frame, and folded into one Response object.

Rules. A frame is relayed as its own bytes wherever that will do: it is parsed when it opens, closes or announces something,
or is the first of its sort for an item. Events that are not public are dropped. Nothing comes before what announces it: what
is missing is announced here. An item keeps one id. Numbers start at 0 and have no gaps. The terminal event is held back
until it is asked for, and nothing follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from floway.wire import events
from floway.wire.events import Usage
from floway.wire.items import Item, Items
from floway.wire.json import JSON, InvalidJSON, JSONObject, dumps
from floway.wire.numbering import renumbered
from floway.wire.objects import complete_item, complete_part, complete_response, echoed, opened_item, opened_part
from floway.wire.sse import DEFAULT_LIMIT, Frame, FrameDecoder, FrameTooLarge, InvalidFrame, encode, encode_data

_OUTPUT_INDEX = b'"output_index"'
_ITEM_ID = b'"item_id"'
_CONTENT_INDEX = b'"content_index"'


@dataclass(frozen=True, slots=True)
class Echo:
    """What the gateway itself puts into the objects it relays.

    :param created_at: Unix seconds. :param request: the caller's body as sent. :param now: to Unix seconds.
    :param mint: a prefix such as `msg` to a fresh id.
    """

    response_id: str
    created_at: int
    request: JSONObject = field(repr=False)
    mint: Callable[[str], str] = field(repr=False)
    now: Callable[[], int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Terminal:
    """How a response ended.

    :param type: the event's name. :param response: the complete public object. :param output: its items.
    :param error: the upstream's own error object where it failed, else None.
    """

    type: str
    response: dict[str, JSON] = field(repr=False)
    output: list[JSON] = field(repr=False)
    usage: Usage
    error: JSON


class Relay:
    """One response's stream. `terminal` is set once; `last_event` is the upstream's latest, dropped ones included.

    :ivar has_output: something of the output has been relayed. :ivar started: any frame has.
    """

    def __init__(self, echo: Echo, frame_limit: int = DEFAULT_LIMIT) -> None:
        self.terminal: Terminal | None = None
        self.last_event = ""
        self.has_output = False
        self.started = False
        self._echo = echo
        self._base = echoed(echo.request)
        self._decoder = FrameDecoder(frame_limit)
        self._created = False
        self._items = Items(echo.mint)
        self._plain: dict[str, tuple[bytes, bytes, bytes]] = {}
        self._number = 0
        self._renumber = False
        self._out: list[bytes] = []
        self._unsent = b""
        self._broken: InvalidFrame | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What to write to the caller for these bytes of the upstream: whole frames, or nothing.

        :raises InvalidFrame: an event that cannot be relayed. What came before it is written by `fail`.
        """
        if self.terminal is not None:
            return b""
        if self._broken is not None:
            raise self._broken
        out = self._out = list[bytes]()
        try:
            self._relay(chunk)
        except InvalidFrame as error:
            self._broken, self._unsent = error, b"".join(out)
            raise
        return out[0] if len(out) == 1 else b"".join(out)

    def finish(self, *, store: bool | None = None) -> bytes:
        """The terminal frame.

        :param store: what it shall say about storage instead of what the caller asked for.
        :raises ValueError: there is none yet.
        """
        if self.terminal is None:
            raise ValueError("the response has not ended")
        response = self.terminal.response if store is None else {**self.terminal.response, "store": store}
        kind = self.terminal.type
        return encode(kind, {"type": kind, "response": response, "sequence_number": self._number})

    def fail(self, code: str, message: str) -> bytes:
        """End the response here: everything that is still to be written, `response.failed` last. Nothing if it has ended."""
        if self.terminal is not None:
            return b""
        self._out = [self._unsent]
        self._end_failed({"code": code, "message": message}, {})
        return b"".join(self._out) + self.finish()

    # --- frames ---

    def _relay(self, chunk: bytes) -> None:
        broken: FrameTooLarge | None = None
        try:
            frames = self._decoder.feed(chunk)
        except FrameTooLarge as error:
            frames, broken = error.frames, error
        out, plain = self._out, self._plain
        for frame in frames:
            raw, event, data = frame
            if data and event in plain and _says(data, plain[event]):
                self.last_event = event
                out.append(self._numbered(event, data) if self._renumber else raw)
                self._number += 1
            else:
                self._take(frame)
                if self.terminal is not None:
                    return
        if broken is not None:
            raise broken

    def _take(self, frame: Frame) -> None:
        event = events.event_type(frame)
        if event is None:
            return
        self.last_event = event
        if not frame.data:
            return
        if not events.is_public(event):
            self._renumber |= b'"sequence_number"' in frame.data
        elif event in events.OPENING:
            self._open(event, events.payload_of(frame))
        elif event in events.TERMINAL or event == events.ERROR:
            self._end(event, events.payload_of(frame))
        else:
            self._begin()
            self._take_output(event, frame)

    def _take_output(self, event: str, frame: Frame) -> None:
        if event == events.ITEM_ADDED:
            self._add(events.payload_of(frame))
        elif event == events.ITEM_DONE:
            self._finish_item(events.payload_of(frame))
        elif event in {events.PART_ADDED, events.PART_DONE}:
            self._take_part(event, events.payload_of(frame))
        else:
            self._pass(event, frame)

    def _emit(self, event: str, payload: dict[str, JSON]) -> None:
        if payload.get("sequence_number") != self._number:
            self._renumber = True
        self._out.append(encode(event, {**payload, "type": event, "sequence_number": self._number}))
        self._number += 1
        self._note_relayed(event)

    def _announce(self, event: str, **payload: JSON) -> None:
        """Emit what the upstream left out."""
        self._emit(event, {"type": event, **payload})

    def _drop(self, payload: JSONObject) -> None:
        self._renumber |= "sequence_number" in payload

    def _note_relayed(self, event: str) -> None:
        self.started = True
        if event not in events.LIFECYCLE:
            self.has_output = True

    # --- deltas, and whatever else is not listed ---

    def _pass(self, event: str, frame: Frame) -> None:
        family = events.item_type(event)
        payload = events.payload_of(frame) if family or _OUTPUT_INDEX in (frame.data or b"") else {}
        if family is None and "output_index" not in payload:
            self._write(event, frame)
            return
        item = self._item_of(event, payload)
        if item is None:
            self._drop(payload)
            return
        place = self._place(event, payload, item)
        if any(payload.get(key) != value for key, value in place.items()):
            self._emit(event, {**payload, **place})
            return
        if payload.get("sequence_number") != self._number:
            self._renumber = True
        self._write(event, frame)
        self._learn(event, frame.data or b"", place)

    def _learn(self, event: str, data: bytes, place: JSONObject) -> None:
        """The next event of this name that says the same of its place is relayed as it is."""
        part, item_id = place.get("content_index"), place.get("item_id")
        item_needle = _needle(_OUTPUT_INDEX, place["output_index"], data)
        part_needle = b"" if part is None else _needle(_CONTENT_INDEX, part, data)
        id_needle = b"%b:%b" % (_ITEM_ID, dumps(item_id))
        if item_needle is not None and part_needle is not None and item_id is not None and id_needle in data:
            self._plain[event] = item_needle, part_needle, id_needle

    def _write(self, event: str, frame: Frame) -> None:
        data = frame.data or b""
        if self._renumber or (frame.event is None and b"\n" in data):
            self._out.append(self._numbered(event, data))
        else:
            self._out.append(frame.raw if frame.event else b"event: %b\n%b" % (event.encode(), frame.raw))
        self._number += 1
        self._note_relayed(event)

    def _numbered(self, event: str, data: bytes) -> bytes:
        try:
            return encode_data(event, renumbered(data, self._number))
        except InvalidJSON as error:
            raise InvalidFrame(f"the data of {event[:64]!r} is not JSON: {error}") from error

    def _place(self, event: str, payload: JSONObject, item: Item) -> dict[str, JSON]:
        """What the event must say about where it belongs; announces the content part if nobody has."""
        place: dict[str, JSON] = {"output_index": item.index}
        if "item_id" in payload or events.names_item(event):
            place["item_id"] = item.id
        kind = events.part_type(event)
        if kind is not None:
            index = events.count(payload.get("content_index"))
            place["content_index"] = index = max(item.parts, default=0) if index is None else index
            self._announce_part(item, index, kind)
        return place

    # --- the response ---

    def _begin(self) -> None:
        if not self._created:
            self._created = True
            self._announce(events.CREATED, response=self._response(events.CREATED, {}, []))
            self._announce(events.IN_PROGRESS, response=self._response(events.IN_PROGRESS, {}, []))

    def _open(self, event: str, payload: dict[str, JSON]) -> None:
        if event == events.CREATED and self._created:
            self._drop(payload)
            return
        if event != events.CREATED and not self._created:
            self._announce(events.CREATED, response=self._response(events.CREATED, {}, []))
        self._created = True
        response = self._response(event, payload.get("response"), [])
        self._emit(event, {"type": event, "response": response, "sequence_number": payload.get("sequence_number")})

    def _end(self, event: str, payload: dict[str, JSON]) -> None:
        self._begin()
        upstream = payload.get("response")
        if event == events.ERROR:
            inner = payload.get("error")
            self._end_failed(inner if isinstance(inner, dict) else payload, {})
        elif event == events.FAILED:
            upstream = upstream if isinstance(upstream, dict) else {}
            self._end_failed(upstream.get("error"), upstream)
        elif isinstance(upstream, dict):
            output = self._output(event, upstream.get("output"))
            self.terminal = Terminal(event, self._response(event, upstream, output), output, events.usage_of(upstream), None)
        else:
            raise InvalidFrame(f"{event} without a response")

    def _end_failed(self, error: JSON, upstream: JSONObject) -> None:
        self._begin()
        output = self._output(events.FAILED, upstream.get("output"))
        response = self._response(events.FAILED, {**upstream, "error": _without_wrapping(error)}, output)
        kept = _without_wrapping(error) or response["error"]
        self.terminal = Terminal(events.FAILED, response, output, events.usage_of(upstream), kept)

    def _response(self, event: str, upstream: JSON, output: list[JSON]) -> dict[str, JSON]:
        return complete_response(
            self._base,
            event,
            upstream if isinstance(upstream, dict) else {},
            response_id=self._echo.response_id,
            created_at=self._echo.created_at,
            completed_at=self._echo.now() if event == events.COMPLETED else None,
            output=output,
        )

    # --- items and parts ---

    def _add(self, payload: dict[str, JSON]) -> None:
        item = payload.get("item")
        index = self._items.index_of(payload, opens=True)
        if not isinstance(item, dict) or self._items.get(index) is not None:
            self._drop(payload)
            return
        entry = self._items.enter(index, item)
        self._emit(events.ITEM_ADDED, {**payload, "output_index": index, "item": entry.announced})

    def _finish_item(self, payload: dict[str, JSON]) -> None:
        item = payload.get("item")
        index = self._items.index_of(payload, opens=False)
        known = self._items.get(index)
        if not isinstance(item, dict) or (known is not None and known.done is not None):
            self._drop(payload)
        else:
            self._close(index, item, payload)

    def _close(self, index: int, item: dict[str, JSON], payload: JSONObject | None = None) -> Item:
        entry = self._items.get(index)
        if entry is None:
            entry = self._items.enter(index, opened_item(item))
            self._announce(events.ITEM_ADDED, output_index=index, item=entry.announced)
        entry.done = complete_item(item, entry.id, "completed")
        self._emit(events.ITEM_DONE, {**(payload or {"type": events.ITEM_DONE}), "output_index": index, "item": entry.done})
        return entry

    def _take_part(self, event: str, payload: dict[str, JSON]) -> None:
        item, part = self._item_of(event, payload), complete_part(payload.get("part"))
        if item is None or not isinstance(part, dict):
            self._drop(payload)
            return
        index = events.count(payload.get("content_index"))
        if event == events.PART_ADDED:
            index = max(item.parts, default=-1) + 1 if index is None else index
            if index in item.parts:
                self._drop(payload)
                return
            item.parts.add(index)
        else:
            index = max(item.parts, default=0) if index is None else index
            self._announce_part(item, index, str(part.get("type")))
            item.finished_parts[index] = part
        self._emit(event, {**payload, "item_id": item.id, "output_index": item.index, "content_index": index, "part": part})

    def _announce_part(self, item: Item, index: int, kind: str) -> None:
        if index not in item.parts:
            item.parts.add(index)
            place = {"item_id": item.id, "output_index": item.index, "content_index": index}
            self._announce(events.PART_ADDED, **place, part=opened_part(kind))

    def _item_of(self, event: str, payload: JSONObject) -> Item | None:
        """The item that the event is about, announced by now; None where the event does not say enough to announce it."""
        index = self._items.index_of(payload, opens=False)
        item = self._items.get(index)
        kind = events.item_type(event)
        if item is None and kind is not None:
            item = self._items.enter(index, {"type": kind, "id": payload.get("item_id")})
            self._announce(events.ITEM_ADDED, output_index=index, item=item.announced)
        return item

    def _output(self, event: str, given: JSON) -> list[JSON]:
        """The final items: the upstream's own list if it fills one, else what was collected, in order of their index."""
        listed = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
        if listed:
            return [self._final(place, item) for place, item in enumerate(listed)]
        status = "completed" if event == events.COMPLETED else "incomplete"
        return [item for entry in self._items if (item := entry.finished(status)) is not None]

    def _final(self, place: int, item: dict[str, JSON]) -> dict[str, JSON]:
        """An item of the upstream's final list, under the id it had in the stream; finished here if it never was there."""
        entry = self._items.named(item) or self._items.get(place)
        if entry is not None and entry.announced.get("type") != item.get("type"):
            entry, place = None, self._items.next_index()
        if entry is None or entry.done is None:
            entry = self._close(place if entry is None else entry.index, item)
        return complete_item(item, entry.id, "completed")


def _says(data: bytes, needles: tuple[bytes, bytes, bytes]) -> bool:
    index, part, item = needles
    return index in data and part in data and item in data


def _without_wrapping(error: JSON) -> JSON:
    """The error object alone, where it came as the event itself."""
    if not isinstance(error, dict):
        return None
    return {key: value for key, value in error.items() if key != "sequence_number" and (key, value) != ("type", events.ERROR)}


def _needle(key: bytes, index: int, data: bytes) -> bytes | None:
    """The bytes by which `data` gives `key` that index, its end included; None where it spells it otherwise.

    In JSON text a key's closing quotation mark is bare, so text that quotes these keys does not match.
    """
    return next((needle for end in (b",", b"}") if (needle := b"%b:%d%b" % (key, index, end)) in data), None)
