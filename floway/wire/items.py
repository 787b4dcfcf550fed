"""The output items of one stream: which there are, under which id, and how far each has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from floway.wire.events import count
from floway.wire.json import JSON, JSONObject
from floway.wire.objects import complete_item, id_prefix


@dataclass(slots=True)
class Item:
    """One output item on its way.

    :param id: what the caller knows it by. :param foreign_id: what the upstream calls it, None where it has no name for it.
    :param announced: as it stood when it was announced. :param parts: the content parts announced so far.
    """

    index: int
    id: str
    foreign_id: str | None
    announced: dict[str, JSON]
    parts: set[int] = field(default_factory=set)
    finished_parts: dict[int, JSON] = field(default_factory=dict)
    done: dict[str, JSON] | None = None

    def finished(self, status: str) -> dict[str, JSON] | None:
        """The whole item; of one that was never finished, a message's finished parts under `status`, else None.

        Half an argument list would be run as if it were whole.
        """
        if self.done is not None or self.announced.get("type") != "message" or not self.finished_parts:
            return self.done
        return {**self.announced, "status": status, "content": [part for _, part in sorted(self.finished_parts.items())]}


class Items:
    """The items by output index.

    :param mint: a prefix to a fresh id, for items that come without one.
    """

    def __init__(self, mint: Callable[[str], str]) -> None:
        self._mint = mint
        self._by_index: dict[int, Item] = {}

    def __iter__(self) -> Iterator[Item]:
        return (item for _, item in sorted(self._by_index.items()))

    def get(self, index: int) -> Item | None:
        """The item at `index`, if it has been announced."""
        return self._by_index.get(index)

    def named(self, item: JSONObject) -> Item | None:
        """The item that the upstream calls by the id of `item`."""
        name = _text(item.get("id"))
        return next((known for known in self._by_index.values() if name and known.foreign_id == name), None)

    def enter(self, index: int, item: JSONObject) -> Item:
        """Take up an item as announced, under its own id or a fresh one; the first id stays."""
        foreign = _text(item.get("id"))
        own = foreign or self._mint(id_prefix(item.get("type")))
        entry = self._by_index[index] = Item(index, own, foreign, complete_item(item, own, "in_progress"))
        return entry

    def next_index(self) -> int:
        """The first index after all that are known."""
        return max(self._by_index, default=-1) + 1

    def index_of(self, payload: JSONObject, *, opens: bool) -> int:
        """Which index an event speaks of: the one it states, else that of the item it names, else the open or a new one.

        :param opens: the event announces an item.
        """
        stated = count(payload.get("output_index"))
        if stated is not None:
            return stated
        item = payload.get("item")
        known = self.named(item if isinstance(item, dict) else {"id": payload.get("item_id")})
        if known is not None:
            return known.index
        pending = [entry.index for entry in self if entry.done is None]
        return pending[-1] if pending and not opens else self.next_index()


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) and value else None
