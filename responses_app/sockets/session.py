"""A caller's socket from its handshake to its end: one turn at a time, each of them the turn that a POST would be.

The thread that reads is the one that notices a caller who leaves; turns run beside it, in a thread each.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from django.db import connection
from wsproto.frame_protocol import CloseReason

from accounts import keys
from floway import gate, logs
from floway.providers.contract import Action
from floway.websocket import TooLong, Violation, WebSocket
from floway.wire import events
from floway.wire.errors import ApiError, BodyTooLarge, InvalidRequest, Unauthenticated
from floway.wire.fold import Echo, Relay
from floway.wire.headers import Headers
from floway.wire.sse import encode
from responses_app.acceptance import Call, Remembered, stand, validated
from responses_app.clock import Clock
from responses_app.http import as_api_error, callers_headers, is_dialect, json_object, told_status
from responses_app.pipeline import Turn
from responses_app.sockets import messages
from responses_app.sockets.memory import Memory
from responses_app.sockets.messages import Create, Unpacked

log = logging.getLogger(__name__)

_LAST_TURN_SECONDS = 30
"""How long the end of a socket waits for its turn, whose upstream has been let go of."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds: of the whole socket, without a turn, and of one turn."""

    life: float
    idle: float
    turn: int


class InProgress(ApiError):
    """409: one turn at a time."""

    status = 409
    type = "invalid_request_error"
    default_code = "response_in_progress"
    permanent = True


class Worn(ApiError):
    """400 in the words that official clients understand: they connect anew and send everything again."""

    status = 400
    type = "invalid_request_error"
    default_code = "websocket_connection_limit_reached"


class Session:
    """One open socket.

    :param headers: the handshake's, the caller's key among them: they hold for every turn. :param environ: the server's.
    """

    def __init__(
        self, socket: WebSocket, headers: Headers, environ: Mapping[str, Any], memory: Memory, clock: Clock, span: Span
    ) -> None:
        self._socket = socket
        self._headers = headers
        self._environ = environ
        self._place: gate.Place | None = environ.get("floway.place")
        self._memory = memory
        self._clock = clock
        self._span = span
        self._opened = self._active = clock.monotonic()
        self._running: threading.Thread | None = None
        self._turn: Turn | None = None
        self._told_all = False
        self._gone = False
        self._leaving = False
        self._refused = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Serve it; returns when it has ended. It holds a place among the requests being served while a turn runs."""
        if self._place is not None:
            self._place.give_back()
        code = CloseReason.NORMAL_CLOSURE
        try:
            code = self._listen()
        except Violation as violation:
            code = violation.code
            kind = BodyTooLarge if isinstance(violation, TooLong) else InvalidRequest
            self._tell(kind(str(violation)), None)
        finally:
            self._end_turn()
            self._memory.clear()
            self._socket.close(code)

    def leave(self) -> None:
        """End it as soon as no turn runs."""
        with self._lock:
            self._leaving = True
            busy = self._running is not None
        if not busy:
            self._socket.wake()

    # --- listening ---

    def _listen(self) -> CloseReason:
        for message in self._socket.messages():
            if message is not None:
                self._take(message)
            if self._refused:
                break
            if not self._busy and self._is_over(message is None):
                break
        if self._refused:
            return CloseReason.POLICY_VIOLATION
        return CloseReason.GOING_AWAY if self._leaving else CloseReason.NORMAL_CLOSURE

    @property
    def _busy(self) -> bool:
        return self._running is not None

    def _is_over(self, silent: bool) -> bool:
        now = self._clock.monotonic()
        idle = silent and now >= self._active + self._span.idle
        with self._lock:
            self._leaving |= idle or now >= self._opened + self._span.life
            return self._leaving

    def _take(self, message: bytes) -> None:
        event: str | None = None
        self._active = self._clock.monotonic()
        try:
            said = json_object(message)
            event = messages.event_id(said)
            asked = messages.create(said)
            self._may_begin()
        except ApiError as error:
            self._tell(error, event)
            return
        self._told_all = False
        self._running = threading.Thread(target=self._serve, args=(asked, event), name="socket-turn", daemon=True)
        self._running.start()

    def _may_begin(self) -> None:
        if self._told_all and (running := self._running) is not None:
            running.join()  # its caller has been quicker than its last steps
        if self._busy:
            raise InProgress("A response is in progress on this connection; wait for its end, or open another one.")
        if self._clock.monotonic() >= self._opened + self._span.life:
            minutes = round(self._span.life / 60)
            raise Worn(
                f"Responses websocket connection limit reached ({minutes} minutes). "
                "Create a new websocket connection to continue."
            )

    def _end_turn(self) -> None:
        with self._lock:
            self._gone = True
            running, turn = self._running, self._turn
        if turn is not None:
            turn.cancellation.cancel()
        if running is not None:
            running.join(_LAST_TURN_SECONDS)

    # --- one turn ---

    def _serve(self, asked: Create, event: str | None) -> None:
        request_id = f"req_{secrets.token_hex(16)}"
        logs.request_id.set(request_id)
        done = False
        try:
            self._take_place()
            done = self._answer(asked, request_id)
        except OSError:
            log.debug("the caller left")
        except Exception as error:  # noqa: BLE001 - as at the door: told as nothing but itself
            self._told_all = True
            self._tell(as_api_error(error), event, request_id)
            self._refused = isinstance(error, Unauthenticated)
        finally:
            connection.close()
            if not done:
                self._memory.forget(asked.previous)
            if self._place is not None:
                self._place.give_back()
            self._rest()

    def _take_place(self) -> None:
        """:raises ApiError: as many requests as may be are being served, and none of them ended in time."""
        if self._place is not None and not self._place.take():
            raise gate.busy()

    def _rest(self) -> None:
        with self._lock:
            self._active = self._clock.monotonic()
            self._running = self._turn = None
            leaving = self._leaving or self._refused
        if leaving:
            self._socket.wake()

    def _answer(self, asked: Create, request_id: str) -> bool:
        """Serve what was asked; did it come to a good end?

        :raises ApiError, OSError: it did not.
        """
        now = self._clock.now()
        call = Call(
            request_id=request_id,
            key=keys.authenticate(self._headers, now),
            headers=callers_headers(self._headers),
            body=asked.body,
            action=Action.GENERATE,
            started_at=now,
            environ=self._environ,
            transport="websocket",
            recall=self._memory.recall,
            at_hand=self._memory.at_hand,
        )
        return self._generate(call) if asked.generate else self._remember(call)

    def _generate(self, call: Call) -> bool:
        turn = Turn(call, self._clock, self._span.turn)
        with self._lock:
            self._turn = turn
            if self._gone:
                turn.cancellation.cancel()
        turn.open()
        if turn.provider.recognises(call.headers):
            for event in turn.official_events:
                self._socket.send(messages.text(event))
        unpacked = Unpacked()
        with closing(turn.stream()) as stream:
            for piece in stream:
                if not turn.store and (remains := turn.remains) is not None:
                    self._memory.keep(turn.response_id, Remembered(remains, turn.response_id, length=len(remains)))
                self._told_all = turn.is_over
                for message in unpacked.feed(piece):
                    self._socket.send(message)
        return turn.remains is not None

    def _remember(self, call: Call) -> bool:
        """Take in what a caller will continue in a moment; nothing goes upstream."""
        validated(call.body)
        ground = stand(call)
        connection.close()
        response_id = f"resp_{secrets.token_hex(24)}"
        self._memory.keep(response_id, ground.remembered)
        now = int(call.started_at.timestamp())
        relay = Relay(Echo(response_id, now, {**call.body, "store": False}, mint=str, now=lambda: now))
        unpacked = Unpacked()
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        pieces = (
            relay.feed(encode(events.CREATED, {"type": events.CREATED, "response": {}})),
            relay.feed(encode(events.COMPLETED, {"type": events.COMPLETED, "response": {"output": [], "usage": usage}})),
            relay.finish(),
        )
        self._told_all = True
        for piece in pieces:
            for message in unpacked.feed(piece):
                self._socket.send(message)
        return True

    def _tell(self, error: ApiError, event: str | None, request_id: str | None = None) -> None:
        status = told_status(error, dialect=is_dialect(self._headers))
        log.info("%s %s: %s", error.http_status, error.code, error.message)
        headers = {**error.headers(), **({"x-request-id": request_id} if request_id else {})}
        try:
            self._socket.send(messages.error(error, status, headers, event))
        except OSError:
            log.debug("the caller left")
