"""Limits are exact whatever the number of processes: forty calls at once to two workers of the shipped server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.conftest import _database_of_its_own
from tests.fakes import faults
from tests.fakes.caller import Caller, turn
from tests.fakes.served import Served
from tests.fakes.tokens import document
from tests.fakes.upstream import FakeUpstream

CALLS, ROOM = 40, 13


@pytest.fixture(scope="module")
def two_workers(listening_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The shipped server with two processes."""
    database = _database_of_its_own("limits")
    running = Served(tmp_path_factory.mktemp("limits"), listening_upstream.url, FLOWAY_WORKERS="2", **database)
    running.start()
    running.manage("import_credential", "-", stdin=document())
    yield running
    running.stop()


def served_by(running: Served, name: str) -> int:
    """How many processes served the key's calls."""
    return int(running.ask(f"Exchange.objects.filter(api_key__name='{name}').values('worker').distinct().count()"))


def test_a_budget_is_exact_across_processes(two_workers: Served, upstream: FakeUpstream) -> None:
    key = two_workers.manage("issue_key", "budget", "--requests", f"{ROOM}/month").splitlines()[-1]
    caller = Caller(two_workers.url, key)
    with ThreadPoolExecutor(CALLS) as pool:
        statuses = sorted(pool.map(lambda number: caller.say(f"call {number}").status, range(CALLS)))
    assert statuses == [200] * ROOM + [429] * (CALLS - ROOM)
    assert len(upstream.turns) == ROOM
    assert two_workers.ask("KeyBudget.objects.get(key__name='budget').used") == str(ROOM)
    assert served_by(two_workers, "budget") == 2


def test_a_cap_on_requests_at_once_is_exact_across_processes(two_workers: Served, upstream: FakeUpstream) -> None:
    key = two_workers.manage("issue_key", "cap", "--max-in-flight", str(ROOM)).splitlines()[-1]
    caller = Caller(two_workers.url, key)
    gate = faults.Gate()
    upstream.script(*(faults.gated(gate, after=2) for _ in range(ROOM)))
    with ThreadPoolExecutor(CALLS) as pool:
        calls = [pool.submit(caller.post, turn(f"call {number}", stream=True)) for number in range(CALLS)]
        refused: set = set()
        while len(refused) < CALLS - ROOM:
            done, _ = wait(set(calls) - refused, 30, return_when="FIRST_COMPLETED")
            assert done, "nobody was refused"
            refused |= done
        gate.open()
    assert sorted(call.result().status for call in calls) == [200] * ROOM + [429] * (CALLS - ROOM)
    assert {call.result().status for call in refused} == {429}
    assert caller.say("one more").status == 200
