"""Any tree of roots, continuations, forks, compactions, failures and lost leases: a model says which window each turn gets.

The model is the rule as it is written down, in plain values. Beside it stands what the rule is for: no two branches share
a window.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from accounts.models import ApiKey
from floway.providers.contract import IdentityClaim, Numbered, Opaque, ScopeStep
from floway.wire.events import Usage
from floway.wire.fold import Terminal
from responses_app import claims, content, settling
from responses_app.models import Exchange, Snapshot
from responses_app.settling import Outcome

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=9000)
numbers = itertools.count()

sessions = st.sampled_from(["one", "two"])
windows = st.sampled_from([None, None, Opaque("a"), Opaque("b"), Numbered(0), Numbered(3), Numbered(9)])


@dataclass
class Line:
    """What the rule remembers of a conversation."""

    generation: int = 0
    next: int = 1
    opaque: str | None = None

    def draw(self) -> int:
        self.next += 1
        return self.next - 1


@dataclass(eq=False)
class Turn:
    """One turn of the model. `runs_in` is its window, `opens` the one that its continuation runs in."""

    line: Line
    parent: Turn | None
    runs_in: int
    stated: Numbered | Opaque | None
    claim: claims.Claim
    said: list[Any]
    continued: Snapshot | None
    opens: int = 0
    opaque: str | None = None
    taken_by: Turn | None = None
    holds: Turn | None = None
    snapshot: Snapshot | None = None
    stored: bool = True
    items: list[Any] = field(default_factory=list)

    @property
    def lineage(self) -> list[Turn]:
        """The turn and what it goes on from, within its conversation; its root comes last."""
        return [self, *(self.parent.lineage if self.parent else [])]


def expected_window(line: Line, stated: Numbered | Opaque | None, own: Turn | None) -> tuple[int, bool]:
    """The rule: the window, and whether it is the continued snapshot's own, which is held from now on."""
    if isinstance(stated, Numbered):
        line.next = max(line.next, stated.number + 1)
        return stated.number, own is not None and own.taken_by is None and own.opens == stated.number
    if own is not None:
        another_name = stated is not None and own.opaque not in {None, stated.id}
        if own.taken_by is not None or another_name:
            return line.draw(), False
        return own.opens, True
    if stated is not None:
        if line.opaque not in {None, stated.id}:
            line.generation = line.draw()
        line.opaque = stated.id
    return line.generation, False


class Trees(RuleBasedStateMachine):
    """Drives claims and settling beside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.key = ApiKey.objects.create(name="k", provider="codex")
        self.lines = {"one": Line(), "two": Line()}
        self.open: list[Turn] = []
        self.expired: list[Turn] = []
        self.settled: list[Turn] = []

    def pick(self, data: st.DataObject, turns: list[Turn]) -> Turn:
        return turns[data.draw(st.integers(0, len(turns) - 1), label="which")]

    def continuable(self) -> list[Turn]:
        return [turn for turn in self.settled if turn.stored]

    # --- what may happen ---

    @precondition(lambda self: len(self.open) < 5)
    @rule(session=sessions, stated=windows)
    def begins(self, session: str, stated: Numbered | Opaque | None) -> None:
        self._begin(session, stated, None)

    @precondition(lambda self: bool(self.continuable()) and len(self.open) < 5)
    @rule(data=st.data(), stated=windows, session=st.sampled_from([None, None, None, "one", "two"]))
    def continues(self, data: st.DataObject, stated: Numbered | Opaque | None, session: str | None) -> None:
        parent = self.pick(data, self.continuable())
        own_session = next(name for name, line in self.lines.items() if line is parent.line)
        self._begin(session or own_session, stated, parent)

    @precondition(lambda self: bool(self.open))
    @rule(data=st.data(), compacts=st.sampled_from([False, False, True]), stored=st.sampled_from([True, True, False]))
    def completes(self, data: st.DataObject, compacts: bool, stored: bool) -> None:
        turn = self.pick(data, self.open)
        self.open.remove(turn)
        self._settle(turn, compacts=compacts, stored=stored)

    @precondition(lambda self: bool(self.open))
    @rule(data=st.data())
    def fails(self, data: st.DataObject) -> None:
        turn = self.pick(data, self.open)
        self.open.remove(turn)
        self._release(turn)

    @precondition(lambda self: any(turn.holds for turn in self.open))
    @rule(data=st.data())
    def loses_its_lease(self, data: st.DataObject) -> None:
        """Its process died, or it ran past its deadline; it will never settle."""
        turn = self.pick(data, [turn for turn in self.open if turn.holds])
        self.open.remove(turn)
        self.expired.append(turn)
        assert turn.holds is not None
        Snapshot.objects.filter(continued_by=turn.claim.exchange).update(continued_until=LONG_AGO)
        turn.holds.taken_by = None

    @precondition(lambda self: bool(self.expired))
    @rule(data=st.data())
    def ends_after_its_lease(self, data: st.DataObject) -> None:
        turn = self.pick(data, self.expired)
        self.expired.remove(turn)
        claims.release(turn.claim.exchange)

    # --- what must be true ---

    @invariant()
    def no_two_branches_share_a_window(self) -> None:
        for line in self.lines.values():
            turns = [turn for turn in [*self.settled, *self.open] if turn.line is line]
            own_affair = {turn.runs_in for turn in turns if isinstance(turn.stated, Numbered)}
            for one, other in itertools.combinations(turns, 2):
                if one.runs_in != other.runs_in or one.runs_in in own_affair or one.lineage[-1] is not other.lineage[-1]:
                    continue
                assert one in other.lineage or other in one.lineage, f"two branches run in {one.runs_in}"

    # --- doing it ---

    def _begin(self, session: str, stated: Numbered | Opaque | None, parent: Turn | None) -> None:
        line = self.lines[session]
        own = parent if parent is not None and parent.line is line else None
        expected, holds = expected_window(line, stated, own)
        exchange = Exchange(
            request_id=f"req_{next(numbers)}",
            api_key=self.key,
            provider="codex",
            started_at=NOW,
            deadline_at=NOW + timedelta(hours=1),
        )
        identity = IdentityClaim(scope=(ScopeStep("session", session),), note={}, window=stated, identity=())
        continued = Snapshot.objects.get(pk=parent.snapshot.pk) if parent is not None and parent.snapshot else None
        claim = claims.claim_turn(self.key, identity, continued, exchange)
        assert claim.generation == expected
        before = parent.items if parent is not None else []
        said = {"type": "message", "role": "user", "content": exchange.request_id}
        turn = Turn(line, own, expected, stated, claim, [*before, said], continued)
        if holds and own is not None:
            own.taken_by, turn.holds = turn, own
        self.open.append(turn)

    def _settle(self, turn: Turn, *, compacts: bool, stored: bool) -> None:
        kind = {"type": "compaction", "encrypted_content": "ENC"} if compacts else {"type": "message", "role": "assistant"}
        output = [{**kind, "id": f"item_{turn.claim.exchange.pk}"}]
        outcome = Outcome(
            terminal=Terminal("response.completed", {}, output, Usage(1, 0, 1, 0), None),
            response_id=f"resp_{turn.claim.exchange.request_id}",
            items=turn.said,
            continued=turn.continued,
            stored=stored,
            note=None,
        )
        settling.settle(turn.claim, outcome)
        turn.opens, turn.stored = turn.runs_in, stored
        turn.opaque = turn.stated.id if isinstance(turn.stated, Opaque) else None
        turn.items = [*turn.said, *output]
        if compacts:
            turn.opens = turn.line.generation = turn.line.draw()
            turn.opaque = turn.line.opaque = None
            turn.items = [item for item in turn.said if item.get("role") == "user" or item["type"] == "compaction"] + output
        turn.snapshot = Snapshot.objects.get(exchange=turn.claim.exchange)
        assert turn.snapshot.generation == turn.opens
        if stored:
            assert content.expand(turn.snapshot) == turn.items
        self.settled.append(turn)

    def _release(self, turn: Turn) -> None:
        claims.release(turn.claim.exchange)
        if turn.holds is not None:
            turn.holds.taken_by = None


@pytest.mark.django_db(transaction=True)
def test_windows_are_those_of_the_rule_and_no_two_branches_share_one() -> None:
    bounds = settings(max_examples=40, stateful_step_count=30)
    run_state_machine_as_test(Trees, settings=bounds)
