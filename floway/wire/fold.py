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
from floway.wire.likeness import NOTHING, holds, likeness
from floway.wire.numbering import are_numbered, is_numbered, renumbered
from floway.wire.objects import bare_error, complete_item, complete_part, complete_response, echoed, opened_item, opened_part
from floway.wire.sse import DEFAULT_LIMIT, Frame, FrameDecoder, FrameTooLarge, InvalidFrame, encode, encode_data, parsed


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
        self._begun = b""
        self._items = Items(echo.mint)
        self._like = NOTHING
        self._number = 0
        self._out: list[bytes] = []
        self._broken: InvalidFrame | None = None

    def feed(self, chunk: bytes) -> bytes:
        """What to write to the caller for these bytes of the upstream: whole frames, or nothing.

        :raises InvalidFrame: an event that cannot be relayed. What came before it is written by `fail`.
        """
        if self.terminal is not None:
            return b""
        if self._broken is not None:
            raise self._broken
        like = self._like
        if like.is_of(chunk) and self._decoder.may_begin(len(chunk)) and is_numbered(chunk, self._number):
            # One whole event, as nearly every chunk of a paced stream is.
            self.last_event = like.event
            self._number += 1
            return chunk
        try:
            self._relay(chunk)
        except InvalidFrame as error:
            self._broken = error
            raise
        out, self._out = self._out, []
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
        self._end_failed({"code": code, "message": message}, {})
        return b"".join(self._out) + self.finish()

    # --- frames ---

    def _relay(self, chunk: bytes) -> None:
        broken: FrameTooLarge | None = None
        try:
            bodies = self._decoder.cut(chunk)
        except FrameTooLarge as error:
            bodies, broken = error.bodies, error
        _, start, head, needles = self._like
        run: list[bytes] = []
        for body in bodies:
            # The one place through which thousands of events pass every second.
            if body.startswith(head) and body.find(b"\n", start) < 0 and (not needles or holds(body, needles)):
                run.append(body)
                continue
            if run:
                self._write_run(run)
                run = []
            if (frame := parsed(body)) is not None:
                self._take(frame)
                if self.terminal is not None:
                    return
                _, start, head, needles = self._like
        if run:
            self._write_run(run)
        if broken is not None:
            raise broken

    def _write_run(self, run: list[bytes]) -> None:
        """Events that are like the one that was learnt: one slice of the upstream's bytes, if their numbers are ours."""
        self.last_event = self._like.event
        if are_numbered(run, self._number):
            self._out += b"\n\n".join(run), b"\n\n"
            self._number += len(run)
            return
        for body in run:
            self._out.append(self._numbered(self._like.event, body[self._like.start :]))
            self._number += 1

    def _take(self, frame: Frame) -> None:
        event = events.event_type(frame)
        if event is None:
            return
        self.last_event = event
        if not frame.data or not events.is_public(event):
            return
        take = _LIFECYCLE.get(event)
        if take is None:
            take = _OUTPUT.get(event, Relay._pass)
            if not self._created:
                self._begin()
        take(self, event, frame)

    def _emit(self, event: str, payload: JSONObject) -> None:
        self._out.append(encode(event, {**payload, "type": event, "sequence_number": self._number}))
        self._note_relayed(event)

    def _announce(self, event: str, **payload: JSON) -> None:
        """Emit what the upstream left out."""
        self._emit(event, {"type": event, **payload})

    def _emit_as(self, event: str, frame: Frame, payload: JSONObject, place: JSONObject) -> bool:
        """Emit the event with what `place` says of it: as its own bytes, and True, where that is what it says anyway."""
        for key, value in place.items():
            said = payload.get(key)
            if said != value or type(said) is not type(value):
                self._emit(event, {**payload, **place})
                return False
        self._write(event, frame, is_numbered=payload.get("sequence_number") == self._number)
        return True

    def _note_relayed(self, event: str) -> None:
        self._number += 1
        self.started = True
        if event not in events.LIFECYCLE:
            self.has_output = True

    # --- deltas, and whatever else is not listed ---

    def _pass(self, event: str, frame: Frame) -> None:
        data = frame.data or b""
        family = events.item_type(event)
        payload = events.payload_of(frame) if family or b'"output_index"' in data else {}
        if family is None and "output_index" not in payload:
            self._write(event, frame, is_numbered=is_numbered(data, self._number))
            return
        item = self._item_of(event, payload)
        if item is None:
            return
        place = self._place(event, payload, item)
        if self._emit_as(event, frame, payload, place) and event.endswith(".delta"):
            self._like = likeness(event, data, place) or self._like

    def _write(self, event: str, frame: Frame, *, is_numbered: bool) -> None:
        data = frame.data or b""
        if not is_numbered or (frame.event is None and b"\n" in data):
            self._out.append(self._numbered(event, data))
        else:
            self._out.append(frame.raw if frame.event else b"event: %b\n%b" % (event.encode(), frame.raw))
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
            self._create({})
            self._tell_begun(events.IN_PROGRESS, self._begun)
            self._begun = b""

    def _create(self, upstream: JSON) -> None:
        self._created = True
        self._begun = dumps(self._response(events.CREATED, upstream, []))
        self._tell_begun(events.CREATED, self._begun)

    def _open(self, event: str, frame: Frame) -> None:
        """Nothing of a response changes from its creation to its progress, so what was told of it then is told again."""
        if not self._created:
            self._create(events.payload_of(frame).get("response"))
        elif event == events.CREATED:
            return
        if event != events.CREATED:
            told = self._begun if event == events.IN_PROGRESS else b""
            self._tell_begun(event, told or dumps(self._response(event, events.payload_of(frame).get("response"), [])))
            self._begun = b""

    def _tell_begun(self, event: str, response: bytes) -> None:
        self._out.append(
            b'event: %b\ndata: {"type":"%b","response":%b,"sequence_number":%d}\n\n'
            % (name := event.encode(), name, response, self._number)
        )
        self._note_relayed(event)

    def _end(self, event: str, frame: Frame) -> None:
        payload = events.payload_of(frame)
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
        bare = bare_error(error)
        response = self._response(events.FAILED, {**upstream, "error": bare}, output)
        self.terminal = Terminal(events.FAILED, response, output, events.usage_of(upstream), bare or response["error"])

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

    def _add(self, event: str, frame: Frame) -> None:
        payload = events.payload_of(frame)
        item = payload.get("item")
        index = self._items.index_of(payload, opens=True)
        if isinstance(item, dict) and self._items.get(index) is None:
            entry = self._items.enter(index, item)
            self._emit_as(event, frame, payload, {"type": event, "output_index": index, "item": entry.announced})

    def _finish_item(self, event: str, frame: Frame) -> None:
        payload = events.payload_of(frame)
        item = payload.get("item")
        index = self._items.index_of(payload, opens=False)
        known = self._items.get(index)
        if isinstance(item, dict) and (known is None or known.done is None):
            entry = self._closed(index, item)
            self._emit_as(event, frame, payload, {"type": event, "output_index": index, "item": entry.done})

    def _closed(self, index: int, item: dict[str, JSON]) -> Item:
        """The item, finished, and announced if nobody has."""
        entry = self._items.get(index)
        if entry is None:
            entry = self._items.enter(index, opened_item(item))
            self._announce(events.ITEM_ADDED, output_index=index, item=entry.announced)
        entry.done = complete_item(item, entry.id, "completed")
        return entry

    def _take_part(self, event: str, frame: Frame) -> None:
        payload = events.payload_of(frame)
        item, part = self._item_of(event, payload), complete_part(payload.get("part"))
        if item is None or not isinstance(part, dict):
            return
        index = events.count(payload.get("content_index"))
        if event == events.PART_ADDED:
            index = max(item.parts, default=-1) + 1 if index is None else index
            if index in item.parts:
                return
            item.parts.add(index)
        else:
            index = max(item.parts, default=0) if index is None else index
            self._announce_part(item, index, str(part.get("type")))
            item.finished_parts[index] = part
        place = {"type": event, "item_id": item.id, "output_index": item.index, "content_index": index, "part": part}
        self._emit_as(event, frame, payload, place)

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
            entry = self._closed(place if entry is None else entry.index, item)
            self._announce(events.ITEM_DONE, output_index=entry.index, item=entry.done)
        return complete_item(item, entry.id, "completed")


_LIFECYCLE: dict[str, Callable[[Relay, str, Frame], None]] = {
    events.CREATED: Relay._open,
    events.QUEUED: Relay._open,
    events.IN_PROGRESS: Relay._open,
    events.COMPLETED: Relay._end,
    events.INCOMPLETE: Relay._end,
    events.FAILED: Relay._end,
    events.ERROR: Relay._end,
}
_OUTPUT: dict[str, Callable[[Relay, str, Frame], None]] = {
    events.ITEM_ADDED: Relay._add,
    events.ITEM_DONE: Relay._finish_item,
    events.PART_ADDED: Relay._take_part,
    events.PART_DONE: Relay._take_part,
}
