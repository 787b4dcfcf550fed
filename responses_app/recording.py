"""What a turn's exchange says of it: how it began, what it cost, how it ended. In memory; who settles the turn writes it."""

from __future__ import annotations

from datetime import timedelta

from floway import sql
from floway.wire.errors import ApiError
from floway.wire.fold import Terminal
from responses_app import end_users, preamble
from responses_app.acceptance import Call
from responses_app.clock import Clock
from responses_app.models import Exchange
from responses_app.streaming import EndedBy, Ending, Stream

Status = Exchange.Status


def begun(call: Call, response_id: str, *, stored: bool, seconds: int) -> Exchange:
    """The exchange of a call that was accepted and may last so long."""
    exchange = sql.shape(Exchange).new(
        request_id=call.request_id,
        provider=call.key.provider,
        action=call.action.value,
        model=str(call.body.get("model", ""))[:128],
        streamed=call.body.get("stream") is True,
        stored=stored,
        response_id=response_id,
        preamble=preamble.fingerprints(call.body),
        started_at=call.started_at,
        deadline_at=call.started_at + timedelta(seconds=seconds),
    )
    sql.relate(exchange, api_key=call.key)
    end_users.note(exchange, call.body)
    return exchange


def ended(exchange: Exchange, stream: Stream, ending: Ending, clock: Clock, began: float) -> None:
    """Who ended an answer that had begun, and when. :param began: on the clock's monotonic time."""
    exchange.ended_by, exchange.last_event = ending.by, stream.relay.last_event[:64]
    exchange.finished_at = clock.now()
    exchange.total_ms = _ms(began, clock.monotonic())
    if stream.output_at is not None:
        exchange.first_byte_ms = _ms(began, stream.output_at)


def completed(exchange: Exchange, terminal: Terminal) -> None:
    """It came to a good end, whole or cut short."""
    exchange.status = Status.COMPLETED if terminal.type == "response.completed" else Status.INCOMPLETE
    exchange.http_status = 200
    used(exchange, terminal)


def used(exchange: Exchange, terminal: Terminal) -> None:
    """The tokens that the answer took."""
    usage = terminal.usage
    exchange.input_tokens, exchange.cached_tokens = usage.input, usage.cached
    exchange.output_tokens, exchange.reasoning_tokens = usage.output, usage.reasoning


def failed(exchange: Exchange, code: str, message: str, *, http_status: int) -> None:
    """An answer that had begun came to no good end."""
    exchange.status, exchange.http_status = Status.FAILED, http_status
    exchange.error_code, exchange.error_message = code[:128], message[:1000]


def refused(exchange: Exchange, error: ApiError, clock: Clock, began: float, *, cancelled: bool) -> None:
    """The turn ended before the upstream began an answer."""
    exchange.status = Status.REFUSED if error.http_status < 500 else Status.FAILED
    exchange.ended_by = EndedBy.CALLER if cancelled else exchange.ended_by or EndedBy.GATEWAY
    exchange.http_status = error.http_status
    exchange.error_code, exchange.error_message = (error.code or "")[:128], error.message[:1000]
    exchange.finished_at, exchange.total_ms = clock.now(), _ms(began, clock.monotonic())


def _ms(began: float, at: float) -> int:
    return max(0, round((at - began) * 1000))
