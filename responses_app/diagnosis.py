"""Why an exchange found less of its input known than it might have: where its caller changed what was said before."""

from __future__ import annotations

from dataclasses import dataclass

from responses_app.models import Exchange, Snapshot


@dataclass(frozen=True, slots=True)
class Difference:
    """A history that was sent anew, but not as it was.

    :param position: of the first item that differs, from 0. :param known: how many items the conversation had.
    """

    position: int
    known: int


def first_difference(exchange: Exchange) -> Difference | None:
    """Where the exchange's input leaves what its conversation's turn before it ended with; None where it goes on from there.

    An upstream's prompt cache is lost from that item on.
    """
    snapshot = Snapshot.objects.filter(exchange=exchange).first()
    if snapshot is None or exchange.known_items is None or exchange.continued_id is not None:
        return None
    earlier = Snapshot.objects.filter(conversation_id=snapshot.conversation_id, stored=snapshot.stored, pk__lt=snapshot.pk)
    known = earlier.values_list("length", flat=True).first()
    if known is None or exchange.known_items >= min(known, exchange.input_items or 0):
        return None
    return Difference(exchange.known_items, known)
