"""The worked examples of windows, at the claim: which context window each turn runs in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import ApiKey
from floway.providers.contract import IdentityClaim, Numbered, Opaque, ScopeStep
from floway.wire.events import Usage
from floway.wire.fold import Terminal
from responses_app import claims, settling
from responses_app.models import Conversation, Exchange, Snapshot
from responses_app.settling import Outcome
from responses_app.statements import conversations, snapshots
from tests.fakes.writer import Holder, Writer

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MESSAGE = {"type": "message", "role": "user", "content": "hi"}
ANSWER = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
COMPACTION = {"type": "compaction", "id": "cmp_1", "encrypted_content": "ENC"}


class Line:
    """Turns of one API key, each named, so that an example reads as it is written."""

    def __init__(self) -> None:
        self.key = ApiKey.objects.create(name="k", provider="codex")
        self.snapshots: dict[str, Snapshot] = {}
        self._count = itertools.count()

    def claim(
        self,
        continues: str | None = None,
        *,
        window: Numbered | Opaque | None = None,
        session: str = "s",
        thread: str | None = None,
    ) -> claims.Claim:
        exchange = Exchange(
            request_id=f"req_{next(self._count)}",
            api_key=self.key,
            provider="codex",
            started_at=NOW,
            deadline_at=NOW + timedelta(hours=1),
        )
        scope = (ScopeStep("session", session), ScopeStep("thread", thread or session))
        identity = IdentityClaim(scope=scope, note={}, window=window, identity=())
        continued = self.snapshots[continues] if continues else None
        return claims.claim_turn(self.key, identity, continued, exchange, claims.known(self.key, identity, continued))

    def settle(self, name: str, claim: claims.Claim, *, compacts: bool = False, stored: bool = True) -> None:
        output = [COMPACTION if compacts else ANSWER]
        settling.settle(
            claim,
            Outcome(
                terminal=Terminal("response.completed", {}, output, Usage(1, 0, 1, 0), None),
                response_id=f"resp_{name}_{claim.exchange.pk}",
                items=[MESSAGE],
                continued=claim.exchange.continued,
                stored=stored,
                note=None,
            ),
        )
        self.snapshots[name] = Snapshot.objects.get(exchange=claim.exchange)

    def turn(
        self, name: str, continues: str | None = None, *, compacts: bool = False, stored: bool = True, **where: object
    ) -> int:
        claim = self.claim(continues, **where)
        self.settle(name, claim, compacts=compacts, stored=stored)
        return claim.generation


def test_forks_take_the_next_number_and_continuations_keep_theirs() -> None:
    line = Line()
    turns = [("r1", None), ("r2", "r1"), ("f1", "r1"), ("f2", "r1"), ("f1c", "f1"), ("r3", "r2"), ("f3", "r1"), ("g", "r2")]
    assert [line.turn(name, parent) for name, parent in turns] == [0, 0, 1, 2, 1, 0, 3, 4]


def test_a_compaction_runs_in_the_old_window_and_opens_the_next() -> None:
    line = Line()
    windows = [line.turn("k1"), line.turn("k2", "k1", compacts=True)]
    windows += [line.turn("k3", "k2"), line.turn("k4", "k2"), line.turn("k5", "k1")]
    assert windows == [0, 0, 1, 2, 3]


def test_an_opaque_window_that_changes_takes_the_next_number() -> None:
    line = Line()
    windows = [line.turn("c1", window=Opaque("win-a")), line.turn("c2", "c1", window=Opaque("win-a"))]
    windows.append(line.turn("c3", "c2", window=Opaque("win-b")))
    assert windows == [0, 0, 1]
    assert line.turn("c4", "c3", session="never seen") == 0


def test_after_a_compaction_the_first_opaque_window_is_the_one_it_opened() -> None:
    line = Line()
    windows = [
        line.turn("o1", window=Opaque("opaque")),
        line.turn("o2", "o1", window=Opaque("opaque"), compacts=True),
        line.turn("o3", "o2", window=Opaque("opaque-2")),
        line.turn("o4", "o3", window=Opaque("opaque-2")),
    ]
    assert windows == [0, 0, 1, 1]


def test_a_sub_agents_thread_counts_its_own_windows() -> None:
    line = Line()
    assert [line.turn("root"), line.turn("sub", thread="own")] == [0, 0]
    assert Conversation.objects.count() == 2


def test_roots_share_the_current_window_and_a_new_opaque_one_becomes_current() -> None:
    line = Line()
    assert [line.turn("s1"), line.turn("s2")] == [0, 0]
    assert [line.turn("s3", window=Opaque("a")), line.turn("s4", window=Opaque("b")), line.turn("s5")] == [0, 1, 1]


def test_a_stated_number_is_used_as_it_is_and_moves_the_counter_past_it() -> None:
    line = Line()
    assert [line.turn("n1", window=Numbered(7)), line.turn("n2", "n1"), line.turn("n3", "n1")] == [7, 7, 8]


def test_a_failed_turn_leaves_no_trace_on_its_parent() -> None:
    line = Line()
    line.turn("r1")
    failed = line.claim("r1")
    assert failed.generation == 0
    assert line.claim("r1").generation == 1, "while it runs, it holds the window"
    claims.release(failed.exchange)
    assert line.turn("r2", "r1") == 0


def test_a_lease_that_ran_out_is_taken_over_and_its_late_end_changes_nothing() -> None:
    line = Line()
    line.turn("r1")
    lost = line.claim("r1")
    Snapshot.objects.filter(pk=line.snapshots["r1"].pk).update(continued_until=NOW - timedelta(days=9000))
    taker = line.claim("r1")
    assert taker.generation == 0
    claims.release(lost.exchange)
    line.settle("r2", taker)
    assert line.claim("r1").generation == 1


def test_a_turn_that_stood_still_beyond_its_lease_goes_on_as_a_fork_of_whoever_took_its_window() -> None:
    line = Line()
    line.turn("r1")
    paused = line.claim("r1")
    Snapshot.objects.filter(pk=line.snapshots["r1"].pk).update(continued_until=NOW - timedelta(days=9000))
    taker = line.claim("r1")
    line.settle("late", paused)
    line.settle("r2", taker)
    assert (paused.generation, taker.generation) == (0, 0)
    assert [line.turn("r3", "r2"), line.turn("later", "late")] == [0, 1]
    assert line.turn("fork", "r1") == 2


def test_a_turn_that_was_taken_for_lost_keeps_its_window_where_nobody_else_took_it() -> None:
    line = Line()
    line.turn("r1")
    paused = line.claim("r1")
    claims.release(paused.exchange)
    line.settle("late", paused)
    assert [line.turn("later", "late"), line.turn("fork", "r1")] == [0, 1]


def test_a_fork_that_settles_late_takes_no_window_that_was_given_back() -> None:
    line = Line()
    line.turn("r1")
    first, fork = line.claim("r1"), line.claim("r1")
    claims.release(first.exchange)
    line.settle("fork", fork)
    assert [line.turn("r2", "r1"), line.turn("forks", "fork")] == [0, 1]


def test_a_child_that_stored_nothing_has_continued_its_parent_all_the_same() -> None:
    line = Line()
    line.turn("r1")
    assert line.turn("quiet", "r1", stored=False) == 0
    assert line.turn("fork", "r1") == 1


def test_a_recall_key_that_another_request_registered_first_is_a_lost_race() -> None:
    line = Line()
    first = IdentityClaim((ScopeStep("session", "a"),), {"session_id": "a"}, None, (), recall_key="content")
    second = IdentityClaim((ScopeStep("session", "b"),), {"session_id": "b"}, None, (), recall_key="content")

    def exchange(name: str) -> Exchange:
        return Exchange(request_id=name, api_key=line.key, provider="codex", started_at=NOW, deadline_at=NOW)

    claims.claim_turn(line.key, first, None, exchange("one"))
    with pytest.raises(claims.LostRace):
        claims.claim_turn(line.key, second, None, exchange("two"))
    known = claims.known(line.key, second, None)
    assert known.recalled and known.conversation is not None
    assert known.conversation.note == {"session_id": "a"}
    assert Conversation.objects.count() == 1, "the loser's conversation is not kept"
    assert Exchange.objects.count() == 1


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite writes one transaction at a time")
def test_a_purge_waits_for_a_turn_that_goes_on_from_the_purged_conversation_and_other_turns_do_not() -> None:
    line = Line()
    line.turn("r1")
    held = line.snapshots["r1"]

    def tried(write: Callable[[], object]) -> bool:
        """Could another connection write it now?"""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(attempt, write).result()

    def attempt(write: Callable[[], object]) -> bool:
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '50ms'")
                write()
        except OperationalError:
            return False
        finally:
            connection.close()
        return True

    conversation = Conversation.objects.filter(pk=held.conversation_id)
    with transaction.atomic():
        assert snapshots.stands(held.pk)
        assert tried(lambda: conversation.update(last_used_at=NOW, latest_note={}))
        assert not tried(lambda: conversation.update(scope_digest=b"purged"))
    assert tried(lambda: conversation.update(scope_digest=b"purged"))


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite writes one transaction at a time")
def test_who_comes_too_late_for_a_window_stands_in_nobodys_way_who_settles_there() -> None:
    """It has waited for the snapshot, and draws a number from the conversation next, which the other has locked before."""
    line = Line()
    line.turn("r1")
    holder, parent = line.claim("r1"), Snapshot.objects.filter(pk=line.snapshots["r1"].pk)
    Snapshot.objects.update(continued_until=NOW - timedelta(days=9000))
    taking = Holder(lambda: parent.update(continued_until=datetime.now(UTC) + timedelta(hours=1)))
    late = Writer(lambda: line.claim("r1"))
    with transaction.atomic():
        assert conversations.touch(holder.conversation.pk, None, NOW, None, opens_window=False)() == 0
        taking.hold()
        late.start()
        late.wait_until_it_waits()
        taking.let_go()
        late.wait_until_it_waits(on_me=True)
        assert claims.keep(holder)() == 0
    late.finish()
    assert Exchange.objects.get(request_id="req_2").generation == 1
