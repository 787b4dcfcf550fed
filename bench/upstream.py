"""A simulated upstream that costs next to nothing: answers are rendered before they are asked for.

`POST …/responses` streams what the model's name asks for: `bench-20` is a stream of 20 public events at once, `bench-20-5` one
with 5 ms between events, `bench-silent` one that falls silent after its first event, `bench-mute` one that never begins,
`bench-fault.KIND` a fault of the kind. A request that ends in a compaction's trigger is compacted. Peers that know no model of
ours name one that stands for a stream.
`GET /bench/silences` tells how many silent answers were begun and when their connections ended, on the monotonic clock.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import re
import time
from functools import lru_cache
from itertools import count
from typing import Any

import zstandard

Event = dict[str, Any]

FIXED_EVENTS = 8
"""What a stream has beside its deltas; no stream is shorter."""

_MODEL = re.compile(rb'"model"\s*:\s*"(?:bench-([a-z0-9.-]+)|gpt-4o)"')
_SHORT = "20"
_TRIGGER = b'"compaction_trigger"'
_TICK_SECONDS = 0.001
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ZSTD = re.compile(rb"\r\ncontent-encoding: *zstd", re.IGNORECASE)
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_bench\r\ncf-ray: bench\r\n"
    b"x-codex-primary-used-percent: 12\r\nx-codex-primary-window-minutes: 300\r\nx-codex-primary-reset-at: 4000000000\r\n"
    b"x-codex-secondary-used-percent: 34\r\nx-codex-secondary-window-minutes: 10080\r\n"
    b"x-codex-secondary-reset-at: 4000600000\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"
ACCOUNT_ID = "00000000-0000-4000-8000-00000000bec4"
"""Of the login that the benchmark uses."""
_ACCOUNTS = (
    b'{"accounts":[{"id":"%s","workspace_backend_origin":"NO_CONSTRAINT","account_routing_override":"NO_CONSTRAINT"}]}'
    % ACCOUNT_ID.encode()
)
_WORDS = ("It", " is", " the", " relay", " that", " counts", ",", " not", " what", " stands", " in", " it", ".")


def events(number: int) -> list[Event]:
    """`number` public events of one answer, numbered, with a vendor event after the first."""
    deltas = [_WORDS[index % len(_WORDS)] for index in range(number - FIXED_EVENTS)]
    begun = {"type": "response.created", "response": _response("in_progress")}
    public = [begun, {**begun, "type": "response.in_progress"}, *_message(deltas), _completed(len(deltas))]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(public)]
    return [numbered[0], _rate_limits(), *numbered[1:]]


def _message(deltas: list[str]) -> list[Event]:
    at = {"item_id": "msg_bench", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": "".join(deltas)}
    item = {"id": "msg_bench", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    opened = {**item, "status": "in_progress", "content": []}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": d, "logprobs": [], "obfuscation": "x" * 12} for d in deltas),
        {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]


def _response(status: str) -> dict[str, Any]:
    return {
        "id": "resp_bench",
        "object": "response",
        "created_at": 1_800_000_000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "bench",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": "00000000-0000-7000-8000-000000000000",
        "reasoning": {"effort": "medium", "summary": None},
        "service_tier": "default",
        "store": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }


@lru_cache(maxsize=1)
def compaction() -> bytes:
    """The whole answer to a request that compacts."""
    begun = {"type": "response.created", "response": _response("in_progress")}
    item = {"id": "cmp_bench", "type": "compaction", "encrypted_content": "c2VhbGVk" * 40}
    at = {"output_index": 0, "item": item}
    ends: list[Event] = [{"type": f"response.output_item.{end}", **at} for end in ("added", "done")]
    public = [begun, *ends, _completed(1)]
    return _HEAD + b"".join(map(_chunk, public)) + _LAST_CHUNK


def _fault(kind: str) -> bytes:
    """All that is sent of an answer that goes wrong; its connection is closed after it, whatever it promised."""
    if kind.isdigit():
        body = b'{"error":{"message":"An injected fault.","type":"server_error","code":null}}'
        head = b"HTTP/1.1 %s Injected\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        return head % (kind.encode(), len(body)) + body
    failed = {"code": "server_error", "message": "An injected fault."}
    ends = {
        "cut": b"",
        "garbage": b"zz\r\nnot a chunk\r\n",
        "failed": _chunk({"type": "response.failed", "response": {**_response("failed"), "error": failed}}) + _LAST_CHUNK,
    }
    return b"" if kind == "reset" else chunks(FIXED_EVENTS)[0] + ends[kind]


FAULTS = ("500", "503", "reset", "cut", "garbage", "failed")
"""What `bench-fault.KIND` may name."""


def _completed(tokens: int) -> Event:
    details: dict[str, Any] = {
        "input_tokens": 600,
        "input_tokens_details": {"cached_tokens": 512},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 600 + tokens,
    }
    return {"type": "response.completed", "response": {**_response("completed"), "usage": details}}


def _rate_limits() -> Event:
    window = {"used_percent": 12, "window_minutes": 300, "reset_at": 4_000_000_000}
    return {"type": "codex.rate_limits", "plan_type": "plus", "rate_limits": {"allowed": True, "primary": window}}


def frame(event: Event) -> bytes:
    """An event as it stands on the wire."""
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def _chunk(event: Event) -> bytes:
    data = frame(event)
    return b"%x\r\n%s\r\n" % (len(data), data)


@lru_cache(maxsize=64)
def chunks(number: int) -> tuple[bytes, ...]:
    """A stream of `number` public events, each frame a chunk of its own, the answer's head in front of the first."""
    framed = [_chunk(event) for event in events(number)]
    return (_HEAD + framed[0], *framed[1:])


@lru_cache(maxsize=64)
def rest(number: int) -> bytes:
    """All after the first chunk."""
    return b"".join(chunks(number)[1:]) + _LAST_CHUNK


class Pacer:
    """Writes each paced stream's next event when it is due; those that are due together, in one go."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, asyncio.Transport, float, list[bytes]]] = []
        self._serial = count()
        self._ticking = False

    def add(self, transport: asyncio.Transport, events: int, pause: float) -> None:
        """Begin a stream whose events lie `pause` seconds apart."""
        left = [*chunks(events)[:-1], chunks(events)[-1] + _LAST_CHUNK][::-1]
        heapq.heappush(self._due, (time.monotonic(), next(self._serial), transport, pause, left))
        if not self._ticking:
            self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            due, serial, transport, pause, left = heapq.heappop(self._due)
            if transport.is_closing():
                continue
            transport.write(left.pop())
            if left:
                heapq.heappush(self._due, (due + pause, serial, transport, pause, left))
        self._ticking = bool(self._due)
        if self._due:
            asyncio.get_running_loop().call_at(max(self._due[0][0], now + _TICK_SECONDS), self._tick)


class Silences:
    """What the silent answers came to."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[float] = []

    def document(self) -> bytes:
        """For `GET /bench/silences`."""
        return json.dumps({"begun": self.begun, "ended": self.ended}).encode()


class Upstream(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, silences: Silences, pacer: Pacer) -> None:
        self._silences = silences
        self._pacer = pacer
        self._held = b""
        self._silent = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._silent:
            self._silences.ended.append(time.monotonic())

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._held += data
        end = self._held.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = self._held[:end]
        length = _LENGTH.search(head)
        whole = end + (int(length[1]) if length else 0)
        if len(self._held) >= whole:
            body, self._held = self._held[end:whole], self._held[whole:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /bench/silences "):
            self._json(b"200 OK", self._silences.document())
        elif head.startswith(b"GET /backend-api/wham/accounts/check"):
            self._json(b"200 OK", _ACCOUNTS)
        elif head.startswith(b"GET "):
            self._json(b"200 OK", b'{"models":[]}')
        else:
            self._turn(_decoded(head, body))

    def _turn(self, body: bytes) -> None:
        if _TRIGGER in body:
            self._transport.write(compaction())
        elif model := _MODEL.search(body):
            self._stream(model[1].decode() if model[1] else _SHORT)
        else:
            self._json(b"400 Bad Request", b'{"detail":"The model is no benchmark."}')

    def _json(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)

    def _stream(self, asked: str) -> None:
        if asked in {"silent", "mute"}:
            self._fall_silent(asked)
            return
        if asked.startswith("fault."):
            self._transport.write(_fault(asked.removeprefix("fault.")))
            self._transport.close()
            return
        number, _, pace = asked.partition("-")
        if pace:
            self._pacer.add(self._transport, int(number), float(pace) / 1000)
        else:
            self._transport.write(chunks(int(number))[0])
            self._transport.write(rest(int(number)))

    def _fall_silent(self, asked: str) -> None:
        self._silences.begun += 1
        self._silent = True
        if asked == "silent":
            self._transport.write(chunks(FIXED_EVENTS)[0])


def _decoded(head: bytes, body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(body) if _ZSTD.search(head) else body


async def serve(port: int) -> None:
    """Serve on loopback until cancelled; says `listening on PORT` first."""
    silences, pacer = Silences(), Pacer()
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(silences, pacer), "127.0.0.1", port, backlog=4096)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))
