"""Why an upstream's prompt cache did not hold what the turn before had sent: a pure function over two turns."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from floway.providers.contract import PromptCache

_MINUTE = timedelta(minutes=1)
_PREAMBLE_NAMES = {"text": "the output's format", "prompt_cache_key": "the cache key", "tools": "the tools"}


class Cause(enum.Enum):
    """What a miss comes from, in the order in which the causes are looked for; the value is how pages say it."""

    NONE = "found"
    UNTOLD = "not told"
    NEW_SESSION = "new session"
    TOO_SHORT = "too short to be kept"
    OTHER_CREDENTIAL = "other credential"
    OTHER_MODEL = "other model"
    PREFIX_CHANGED = "prefix changed"
    OTHER_WINDOW = "other window"
    TOO_OLD = "older than the cache’s life"
    UPSTREAM = "upstream"

    @property
    def is_miss(self) -> bool:
        """Was something lost that the turn before had left?"""
        return self not in {Cause.NONE, Cause.UNTOLD}


@dataclass(frozen=True, slots=True)
class Turn:
    """What is compared: one exchange that told its tokens.

    :param known_items: leading input items that the conversation had already. :param length: items after the turn, where it
        left a snapshot. :param ended_at: when its prompt was last of use to the cache.
    :param preamble: fingerprints of what stands before the items. :param left_out: input items that the gateway left out.
    """

    conversation_id: int | None
    credential_id: int | None
    model: str
    generation: int | None
    stored: bool
    input_tokens: int | None
    cached_tokens: int | None
    started_at: datetime
    ended_at: datetime | None = None
    input_items: int | None = None
    known_items: int | None = None
    length: int | None = None
    compacted: bool = False
    preamble: Mapping[str, str] | None = None
    left_out: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why. `lost` tokens were left in the cache by the turn before and not found; `detail` is a sentence for the operator.

    `position` is the input item from which on a changed prefix differs, where that is known.
    """

    cause: Cause
    lost: int = 0
    detail: str = ""
    position: int | None = None
    partial: bool = False

    @property
    def word(self) -> str:
        """The cause, and whether only a part was lost."""
        return f"{self.cause.value}, in part" if self.partial and self.cause.is_miss else self.cause.value


def explain(turn: Turn, previous: Turn | None, cache: PromptCache | None) -> Reason:
    """Why `turn` found less than `previous` had left.

    :param previous: the turn that it goes on from; None where there is none.
    :param cache: what the provider says of its upstream's cache; without it, any beginning might have been kept for ever.
    """
    if turn.input_tokens is None or turn.cached_tokens is None:
        return Reason(Cause.UNTOLD, detail="The upstream told no cached tokens.")
    if previous is None or previous.input_tokens is None:
        return _alone(turn)
    step = cache.step if cache else 1
    left = min(previous.input_tokens, turn.input_tokens) // step * step
    lost = left - turn.cached_tokens
    if lost <= (step if cache else 0):
        return Reason(Cause.NONE)
    if cache is not None and left < cache.smallest:
        detail = f"The turn before sent {previous.input_tokens} tokens; the upstream keeps none under {cache.smallest}."
        return Reason(Cause.TOO_SHORT, lost, detail)
    changes = (found for look in _LOOKS if (found := look(turn, previous)) is not None)
    cause, detail, position = next(changes, None) or _age(turn, previous, cache) or _UPSTREAM
    return Reason(cause, lost, detail, position, partial=turn.cached_tokens > 0)


def _alone(turn: Turn) -> Reason:
    if turn.cached_tokens:
        return Reason(Cause.NONE, detail="The first turn; what was found is what other conversations begin with too.")
    return Reason(Cause.NEW_SESSION, turn.input_tokens or 0, "No turn of this conversation had ended before.")


_Found = tuple[Cause, str, int | None]
_UPSTREAM: _Found = (
    Cause.UPSTREAM,
    "Nothing of what the cache goes by has changed: the upstream did not keep it, or answered from another machine.",
    None,
)


def _session(turn: Turn, previous: Turn) -> _Found | None:
    if turn.conversation_id == previous.conversation_id:
        return None
    return Cause.NEW_SESSION, "It goes on from another conversation, under a session of its own.", None


def _credential(turn: Turn, previous: Turn) -> _Found | None:
    if turn.credential_id == previous.credential_id:
        return None
    return Cause.OTHER_CREDENTIAL, "The turn before ran on another login, and a cache belongs to its account.", None


def _model(turn: Turn, previous: Turn) -> _Found | None:
    if turn.model == previous.model:
        return None
    return Cause.OTHER_MODEL, f"The turn before asked {previous.model or 'no model'}.", None


def _preamble(turn: Turn, previous: Turn) -> _Found | None:
    """What stands before the first item: a change there loses everything."""
    if turn.preamble is None or previous.preamble is None:
        return None
    names = sorted({*turn.preamble, *previous.preamble})
    changed = [_PREAMBLE_NAMES.get(name, name) for name in names if turn.preamble.get(name) != previous.preamble.get(name)]
    if not changed:
        return None
    are = "are others" if len(changed) > 1 or changed[0].endswith("s") else "is another"
    return Cause.PREFIX_CHANGED, f"Before the first item: {' and '.join(changed)} {are} than in the turn before.", None


def _left_out(turn: Turn, previous: Turn) -> _Found | None:
    changed = turn.left_out ^ previous.left_out
    if not changed:
        return None
    first = min(changed, key=lambda name: (len(name), name))
    return Cause.PREFIX_CHANGED, f"The gateway left other items out than in the turn before, first {first}.", None


def _items(turn: Turn, previous: Turn) -> _Found | None:
    """A history that was sent anew, but not as it was; turns that keep no content leave traces of their own."""
    position, sent = turn.known_items, turn.input_items
    if position is None or sent is None or previous.length is None or turn.stored != previous.stored:
        return None
    if position >= min(previous.length, sent):
        return None
    return (
        Cause.PREFIX_CHANGED,
        f"input[{position}] differs from what was said before ({previous.length} items).",
        position,
    )


def _window(turn: Turn, previous: Turn) -> _Found | None:
    if previous.compacted:
        return Cause.OTHER_WINDOW, "The turn before compacted the conversation: what went upstream begins anew.", None
    if turn.generation == previous.generation:
        return None
    return Cause.OTHER_WINDOW, f"The turn before ran in window {previous.generation}, this one in {turn.generation}.", None


def _age(turn: Turn, previous: Turn, cache: PromptCache | None) -> _Found | None:
    if cache is None or previous.ended_at is None:
        return None
    idle = turn.started_at - previous.ended_at
    if idle < cache.kept:
        return None
    life = f"the upstream keeps a beginning for {cache.kept // _MINUTE} min at least, {cache.longest // _MINUTE} min at most"
    return Cause.TOO_OLD, f"Last used {_spelt(idle)} before; {life}.", None


def _spelt(idle: timedelta) -> str:
    minutes = idle // _MINUTE
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


_LOOKS: tuple[Callable[[Turn, Turn], _Found | None], ...] = (
    _session,
    _credential,
    _model,
    _preamble,
    _left_out,
    _items,
    _window,
)
