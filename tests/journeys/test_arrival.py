"""When bytes arrive: the first leaves before the last has come."""

from __future__ import annotations

import threading

from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Caller, turn
from tests.fakes.upstream import FakeUpstream


def test_what_has_come_is_sent_on_before_the_rest_comes(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("hello")) as stream:
        assert stream.next("response.output_text.delta")["delta"]
        assert gate.reached.wait(10)
        assert not gate.opened.is_set()
        gate.open()
        assert stream.next("response.completed")


def test_the_shipped_server_holds_nothing_back_either(served_caller: Caller, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with served_caller.stream(turn("hello")) as stream:
        assert stream.next("response.output_text.delta")["delta"]
        gate.open()
        assert stream.next("response.completed")


def test_two_turns_at_once_do_not_mix(gateway: Gateway, upstream: FakeUpstream) -> None:
    gates = [faults.Gate(), faults.Gate()]
    upstream.script(*(faults.gated(gate, after=6) for gate in gates))
    words: dict[str, str] = {}

    def ask(text: str) -> None:
        words[text] = gateway.say(text).body.decode()

    threads = [threading.Thread(target=ask, args=(text,)) for text in ("first question", "second question")]
    for thread, gate in zip(threads, gates, strict=True):
        thread.start()
        assert gate.reached.wait(10)
    for gate in reversed(gates):
        gate.open()
    for thread in threads:
        thread.join(10)
    assert "first question" in words["first question"]
    assert "second question" not in words["first question"]
    assert "first question" not in words["second question"]
    assert len({request.header("session-id") for request in upstream.turns}) == 2
