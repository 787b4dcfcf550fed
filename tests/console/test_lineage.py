"""The lineage of a conversation as it is drawn: lanes, edges by how a turn goes on, links, and what is left out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import pytest
from django.test import Client
from django.urls import reverse

from floway.console import lineage
from responses_app.descent import Manner, descents
from responses_app.models import Conversation, Segment, Snapshot
from tests.console import rows

pytestmark = pytest.mark.django_db


class Line:
    """Makes the turns of one conversation."""

    def __init__(self) -> None:
        self.key = rows.make_key()
        self.conversation = rows.make_conversation(self.key)
        self._made = 0

    def turn(self, parent: Snapshot | None = None, **over: Any) -> Snapshot:
        self._made += 1
        exchange = rows.make_exchange(self.key, 100 - self._made, conversation=self.conversation)
        return rows.make_snapshot(exchange, self.conversation, parent, **over)

    def segment(self, parent: Segment | None = None, at: int = 0) -> Segment:
        return Segment.objects.create(conversation=self.conversation, parent=parent, parent_length=at, length=99)

    @property
    def snapshots(self) -> list[Snapshot]:
        mine = Snapshot.objects.filter(conversation=self.conversation)
        return list(mine.select_related("segment", "exchange").order_by("pk"))

    def manners(self) -> list[tuple[Manner, int | None]]:
        found, index = descents(self.snapshots), {row.pk: n for n, row in enumerate(self.snapshots)}
        return [(d.manner, None if d.before is None else index[d.before]) for d in found.values()]

    def lanes(self) -> list[int]:
        places = lineage.placed(self.snapshots, descents(self.snapshots))
        return [places[row.pk].lane for row in self.snapshots]


def page(client: Client, conversation: Conversation, query: str = "") -> str:
    url = reverse("admin:responses_app_conversation_change", args=[conversation.pk])
    return client.get(url + query).content.decode()


def test_a_fork_and_a_compaction_take_lanes_of_their_own() -> None:
    line = Line()
    first = line.turn()
    second = line.turn(first)
    line.turn(second)
    fork = line.turn(second, generation=1)
    line.turn(fork, generation=1)
    line.turn(second, generation=2, compaction=True)
    assert line.lanes() == [0, 0, 0, 1, 1, 2]
    assert line.manners()[-1] == (Manner.COMPACTED, 1)


def test_a_lane_is_taken_again_once_it_is_free() -> None:
    line = Line()
    root = line.turn()
    line.turn(root, generation=1)
    main = line.turn(root)
    again = line.turn(main)
    line.turn(again, generation=2)
    assert line.lanes() == [0, 1, 0, 0, 1]


def test_a_history_sent_anew_is_followed_by_where_its_items_stand() -> None:
    line = Line()
    trunk = line.segment()
    line.turn(segment=trunk, length=3)
    line.turn(segment=trunk, length=6)
    line.turn(segment=line.segment(trunk, at=3), length=8)
    line.turn(segment=line.segment(trunk, at=5), length=8)
    line.turn(segment=line.segment(), length=2)
    expected = [(Manner.ROOT, None), (Manner.RESENT, 0), (Manner.RESENT, 0), (Manner.CHANGED, 1), (Manner.ROOT, None)]
    assert line.manners() == expected


def test_every_turn_links_to_its_snapshot_and_its_exchange_and_the_current_one_is_heavy(operator: Client) -> None:
    line = Line()
    first = line.turn()
    last = line.turn(first)
    html = page(operator, line.conversation)
    for snapshot in (first, last):
        assert f'href="../../../snapshot/{snapshot.pk}/change/"' in html
        assert f'href="../../../exchange/{snapshot.exchange_id}/change/"' in html
    assert re.findall(r'snapshot/(\d+)/change/" class="now"', html) == [str(last.pk)]
    here = reverse("admin:responses_app_conversation_change", args=[line.conversation.pk])
    there = reverse("admin:responses_app_snapshot_change", args=[first.pk])
    assert urljoin(here, f"../../../snapshot/{first.pk}/change/") == there


def test_a_long_line_is_drawn_in_pieces(operator: Client) -> None:
    line = Line()
    parent = None
    for _ in range(83):
        parent = line.turn(parent)
    html = page(operator, line.conversation)
    assert html.count("<circle") == 80
    older = re.search(r'href="(\?before=\d+)">Older', html)
    assert older is not None
    assert page(operator, line.conversation, older[1]).count("<circle") == 3
    for odd in ("?before=x", "?before=-1", "?before=" + "9" * 40, "?before=0"):
        assert "Lineage" in page(operator, line.conversation, odd)


def test_the_chart_marks_misses_and_other_credentials_and_the_table_says_why(operator: Client) -> None:
    line = Line()
    credentials = [rows.make_credential(1), rows.make_credential(2)]
    for number, credential in ((3, credentials[0]), (2, credentials[1])):
        rows.make_exchange(
            line.key, number, conversation=line.conversation, credential=credential, cached_tokens=0, input_tokens=9_000
        )
    html = page(operator, line.conversation)
    assert html.count('class="read"') == 2
    assert html.count(">✗</text>") == 2
    assert html.count(">⇄</text>") == 1
    assert "<strong>other credential</strong>" in html
    assert "<strong>new session</strong>" in html
    assert "0\u202f% of what they read was cached" in html
