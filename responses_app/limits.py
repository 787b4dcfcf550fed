"""What a key may take: models, requests at once, requests and tokens in each window.

Counted in rows, and decided under the key's lock, so that any number of processes and hosts let exactly so many through. Locks
are taken in one order: conversation, key, budgets. A key without limits costs no statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import ApiKey, KeyBudget
from floway.wire.errors import ApiError, NotFound
from responses_app.models import Exchange

_LONGEST_WAIT = 120
"""Seconds: SDKs wait no longer, and who waits longer should know that before."""
_TURN_SECONDS = 5
"""When it is worth to ask again while too many are in flight: nobody knows when a turn ends."""
_Kind = KeyBudget.Kind


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one budget, and until when."""

    kind: str
    window: str
    limit: int
    left: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A key's budgets as an answer's headers tell them; of several, the one of which least is left."""

    budgets: tuple[Left, ...] = ()

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-…`, none where there is no budget."""
        told: dict[str, str] = {}
        if not self.budgets:
            return told
        for kind in _Kind.values:
            tightest = min((left for left in self.budgets if left.kind == kind), key=lambda left: left.left, default=None)
            if tightest is not None:
                told[f"x-ratelimit-limit-{kind}"] = str(tightest.limit)
                told[f"x-ratelimit-remaining-{kind}"] = str(tightest.left)
                told[f"x-ratelimit-reset-{kind}"] = _short(tightest.seconds)
        return told


NO_BUDGETS = Standing()


class LimitReached(ApiError):
    """429: a limit of the key's own."""

    status = 429

    def __init__(self, message: str, standing: Standing, *, seconds: int, kind: str, resets_at: datetime | None = None) -> None:
        lasting = resets_at is not None and seconds > _LONGEST_WAIT
        details = {"resets_at": int(resets_at.timestamp()), "resets_in_seconds": seconds} if resets_at and lasting else {}
        super().__init__(
            message,
            type="usage_limit_reached" if lasting else kind,
            code="insufficient_quota" if lasting else "rate_limit_exceeded",
            retry_after=seconds,
            permanent=lasting,
            details=details,
        )
        self._standing = standing

    def headers(self) -> dict[str, str]:
        """With how the key stands."""
        return {**super().headers(), **self._standing.headers()}


def permit(key: ApiKey, model: str) -> None:
    """:raises NotFound: the model is not among those that the key may use; told as of one that does not exist."""
    if not key.may_use(model):
        raise NotFound(
            f"The model '{model}' does not exist or you do not have access to it.", code="model_not_found", param="model"
        )


def admit(exchange: Exchange, now: datetime) -> Standing:
    """Take what the exchange, written already, takes of its key's limits: the last act of the open transaction.

    :raises LimitReached: there is no room; the transaction must not be committed.
    """
    key = exchange.api_key
    if key.max_in_flight is None and not key.has_budgets:
        return NO_BUDGETS
    list(ApiKey.objects.select_for_update(no_key=True).filter(pk=key.pk).values_list("pk"))
    budgets = list(key.budgets.all()) if key.has_budgets else []
    spent = [budget for budget in budgets if budget.left_at(now) == 0]
    if spent:
        raise _spent(max(spent, key=lambda budget: budget.resets_at(now)), _standing(budgets, now), now)
    _see_to_room(exchange, now, budgets)
    for budget in budgets:
        if budget.kind == _Kind.REQUESTS:
            budget.take(1, now)
            budget.save(update_fields=["used", "began_at"])
    return _standing(budgets, now)


def _see_to_room(exchange: Exchange, now: datetime, budgets: Sequence[KeyBudget]) -> None:
    """:raises LimitReached: as many others as may be are in flight."""
    key = exchange.api_key
    if key.max_in_flight is None:
        return
    if Exchange.objects.running().filter(api_key=key).exclude(request_id=exchange.request_id).count() >= key.max_in_flight:
        raise LimitReached(
            f"Rate limit reached for this API key on requests at once: limit {key.max_in_flight}. Please try again in "
            f"{_TURN_SECONDS}s.",
            _standing(budgets, now),
            seconds=_TURN_SECONDS,
            kind=_Kind.REQUESTS,
        )


def ended(exchange: Exchange) -> None:
    """Count its tokens, in the open transaction that writes its end."""
    key = exchange.api_key
    tokens = (exchange.input_tokens or 0) + (exchange.output_tokens or 0)
    if not key.has_budgets or not tokens:
        return
    rows = key.budgets.filter(kind=_Kind.TOKENS).order_by("pk")
    for budget in rows.select_for_update():
        budget.take(tokens, exchange.ended_at)
        budget.save(update_fields=["used", "began_at"])


def _standing(budgets: Sequence[KeyBudget], now: datetime) -> Standing:
    return Standing(
        tuple(
            Left(budget.kind, budget.window, budget.amount, budget.left_at(now), _seconds(budget.resets_at(now), now))
            for budget in budgets
        )
    )


def _spent(budget: KeyBudget, standing: Standing, now: datetime) -> LimitReached:
    resets_at = budget.resets_at(now)
    seconds = _seconds(resets_at, now)
    what = f"{budget.kind} per {budget.window}: limit {budget.amount}, used {budget.used_at(now)}"
    if seconds > _LONGEST_WAIT:
        message = f"This API key has used up its {what}. It may go on at {resets_at:%Y-%m-%d %H:%M} UTC."
    else:
        message = f"Rate limit reached for this API key on {what}. Please try again in {seconds}s."
    return LimitReached(message, standing, seconds=seconds, kind=budget.kind, resets_at=resets_at)


def _seconds(then: datetime, now: datetime) -> int:
    return max(1, -int((now - then).total_seconds() // 1))


def _short(seconds: int) -> str:
    """As the public API writes a length of time: `1s`, `6m0s`, `2h0m0s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
