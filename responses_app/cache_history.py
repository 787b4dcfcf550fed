"""Finds for each of some exchanges the turn it goes on from, in a fixed number of queries, and explains its cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, QuerySet, Subquery

from floway import markup
from floway.providers import registry
from floway.providers.contract import PromptCache
from responses_app.cache_reasons import Reason, Turn, explain
from responses_app.models import Exchange, Snapshot

NEEDED = (
    "pk", "provider", "conversation_id", "continued_id", "credential_id", "model", "generation", "stored", "input_tokens",
    "cached_tokens", "input_items", "known_items", "preamble", "changes", "started_at", "finished_at",
)  # fmt: skip
"""The columns that an explanation reads."""


@dataclass(frozen=True, slots=True)
class ExplainedTurn:
    """An exchange and why its cache found what it found; `moved` where it ran on another credential than the one before."""

    exchange: Exchange
    reason: Reason | None
    moved: bool = False


def explained(exchanges: Sequence[Exchange]) -> Sequence[ExplainedTurn]:
    """The exchanges of one conversation, explained, in the order they come: oldest first."""
    why = reasons(exchanges)
    before = [None, *(exchange.credential_id for exchange in exchanges)]
    return [
        ExplainedTurn(exchange, why.get(exchange.pk), moved=index > 0 and last not in {None, exchange.credential_id})
        for index, (exchange, last) in enumerate(zip(exchanges, before, strict=False))
    ]


def reasons(exchanges: Sequence[Exchange]) -> Mapping[int, Reason]:
    """Why each exchange that told its tokens found what it found, by its primary key. Four queries, however many they are."""
    told = [exchange for exchange in exchanges if exchange.input_tokens is not None]
    before = _before(told)
    rows = {row.pk: row for row in Exchange.objects.filter(pk__in=set(before.values())).only(*NEEDED)}
    marks = _snapshots(rows)
    found = {}
    for exchange in told:
        earlier = rows.get(before.get(exchange.pk, 0))
        previous = turn_of(earlier, marks.get(earlier.pk)) if earlier is not None else None
        found[exchange.pk] = explain(turn_of(exchange), previous, _cache(exchange.provider))
    return found


def turn_of(exchange: Exchange, snapshot: tuple[int, bool] | None = None) -> Turn:
    """What is compared of an exchange; `snapshot` is how many items it left and whether it compacted."""
    length, compacted = snapshot or (None, False)
    dropped = (row.get("field") for row in markup.mappings(exchange.changes) if row.get("kind") == "dropped")
    return Turn(
        conversation_id=exchange.conversation_id,
        credential_id=exchange.credential_id,
        model=exchange.model,
        generation=exchange.generation,
        stored=exchange.stored,
        input_tokens=exchange.input_tokens,
        cached_tokens=exchange.cached_tokens,
        started_at=exchange.started_at,
        ended_at=exchange.finished_at,
        input_items=exchange.input_items,
        known_items=None if exchange.continued_id is not None else exchange.known_items,
        length=length,
        compacted=compacted,
        preamble=exchange.preamble if isinstance(exchange.preamble, dict) else None,
        left_out=frozenset(name for name in dropped if isinstance(name, str) and name.startswith("input[")),
    )


def _before(exchanges: Sequence[Exchange]) -> Mapping[int, int]:
    """Which exchange each goes on from: what it says it continues, else the last of its conversation that had ended."""
    continued = {exchange.continued_id for exchange in exchanges if exchange.continued_id is not None}
    made_by = dict(Snapshot.objects.filter(pk__in=continued).values_list("pk", "exchange_id"))
    before = {e.pk: made_by.get(e.continued_id) for e in exchanges if e.continued_id is not None}
    roots = [e.pk for e in exchanges if e.continued_id is None and e.conversation_id is not None]
    stated = {pk: made for pk, made in before.items() if made}
    return stated | dict(_latest_before(roots))


def _latest_before(roots: Iterable[int]) -> Iterable[tuple[int, int]]:
    ended: QuerySet[Exchange] = Exchange.objects.filter(
        conversation=OuterRef("conversation"),
        started_at__lt=OuterRef("started_at"),
        finished_at__lte=OuterRef("started_at"),
        input_tokens__isnull=False,
    ).order_by("-started_at")
    annotated = Exchange.objects.filter(pk__in=list(roots)).annotate(before=Subquery(ended.values("pk")[:1]))
    return annotated.exclude(before=None).values_list("pk", "before")


def _snapshots(exchanges: Iterable[int]) -> Mapping[int, tuple[int, bool]]:
    rows = Snapshot.objects.filter(exchange__in=list(exchanges)).values_list("exchange_id", "length", "compaction")
    return {pk: (length, compacted) for pk, length, compacted in rows}


def _cache(provider: str) -> PromptCache | None:
    try:
        return registry.get(provider).prompt_cache
    except registry.UnknownProvider:
        return None
