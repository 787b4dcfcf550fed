"""The official command line client against a served gateway, in a network namespace with loopback alone: it calls home.

`FLOWAY_TEST_CODEX_BIN` names the client's executable.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from floway.providers.codex.simulated.http import Exchange, Request
from tests.clients.official import ENV_KEY, SETUPS, SOCKETS, Client, Setup, provider, said, thread_of
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Caller
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.cli

Make = Callable[..., Client]
OVER_BOTH = {"http": Setup(provider(ENV_KEY)), "websocket": Setup(provider(f"{ENV_KEY}\n{SOCKETS}"))}


@pytest.fixture
def make(executable: str, served_caller: Caller, tmp_path: Path) -> Make:
    def made(name: str, setup: Setup, **over: Any) -> Client:
        return Client(executable, served_caller, tmp_path / re.sub(r"\W", "-", name), setup, **over)

    return made


def at_once(work: Callable[[str], Any], names: Any) -> dict[str, Any]:
    """Every client at the same time; what came of each."""
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(work, names), strict=True))


def turns_of(upstream: FakeUpstream, session: str) -> list[Request]:
    return [request for request in upstream.turns if request.header("session-id") == session]


def metadata(request: Request) -> Any:
    return json.loads(request.header("x-codex-turn-metadata") or "")


def sockets_opened(served: Served) -> int:
    return sum("/responses 101 in" in line for line in served.output)


def test_in_every_configuration_two_turns_with_a_tool_between_hold_one_conversation(
    make: Make, served: Served, upstream: FakeUpstream
) -> None:
    before = sockets_opened(served)

    def talk(name: str) -> Any:
        client = make(name, SETUPS[name])
        first = client.run(f"call exec_command with {json.dumps({'cmd': 'echo canary-$((40 + 2))'})}")
        second = client.run("resume", "--last", "What did I ask before?")
        return thread_of(first), said(first), said(second)

    for name, (thread, first, second) in at_once(talk, SETUPS).items():
        assert "canary-42" in first, name
        assert "call exec_command" in second, name
        turns = turns_of(upstream, thread)
        assert len(turns) == 3, name
        assert {turn.header("x-codex-window-id") for turn in turns} == {f"{thread}:0"}, name
        ids = [turn.json["client_metadata"]["turn_id"] for turn in turns]
        assert ids[0] == ids[1] != ids[2], name
        assert {turn.header("originator") for turn in turns} == {"codex_exec"}, name
    assert sockets_opened(served) - before == 2 * sum(setup.socket for setup in SETUPS.values())
    assert not [line for line in served.output if "Traceback" in line]


def test_what_the_client_says_of_itself_leaves_the_gateway_unchanged(make: Make, upstream: FakeUpstream) -> None:
    threads = at_once(lambda name: thread_of(make(name, OVER_BOTH[name]).run("hello")), OVER_BOTH)
    for name, thread in threads.items():
        (request,) = turns_of(upstream, thread)
        assert (request.header("user-agent") or "").startswith(f"codex_exec/{request.header('version')} ("), name
        told = metadata(request)
        assert (told["turn_trigger"], told["history_initialization"], told["request_kind"]) == ("exec", "new", "turn"), name
        assert request.header("x-codex-beta-features") == "remote_compaction_v2", name
        assert "x-codex-ws-stream-request-start-ms" not in request.json["client_metadata"], name


def holds_the_root_back(upstream: FakeUpstream) -> Callable[[Exchange, str], None]:
    """Answers a root that has sent an agent out once that agent was heard: the client ends with the root's answer."""
    heard: defaultdict[str | None, threading.Event] = defaultdict(threading.Event)
    plainly = upstream.respond

    def respond(exchange: Exchange, account_id: str) -> None:
        request = exchange.request
        session = request.header("session-id")
        if request.header("thread-id") != session:
            heard[session].set()
        elif request.json["input"][-1]["type"] == "function_call_output":
            assert heard[session].wait(60)
        plainly(exchange, account_id)

    return respond


def test_a_sub_agent_is_a_thread_of_its_own_inside_the_roots_session(
    make: Make, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.distinct_ids = True
    monkeypatch.setattr(upstream, "respond", holds_the_root_back(upstream))
    task = json.dumps({"task_name": "helper_one", "message": "do a small thing", "fork_turns": "none"})

    def delegate(name: str) -> str:
        return thread_of(make(name, OVER_BOTH[name], model="gpt-6.1-sol").run(f"call spawn_agent with {task}"))

    for name, root in at_once(delegate, OVER_BOTH).items():
        turns = turns_of(upstream, root)
        assert {turn.json["prompt_cache_key"] for turn in turns} == {root}, name
        assert {turn.header("x-openai-internal-codex-responses-lite") for turn in turns} == {"true"}, name
        (agent,) = [turn for turn in turns if turn.header("thread-id") != root]
        assert agent.header("x-codex-parent-thread-id") == root, name
        assert agent.header("x-openai-subagent") == "collab_spawn", name
        assert metadata(agent)["subagent_kind"] == "thread_spawn", name
        assert agent.json["input"][-1]["type"] == "agent_message", name


def test_a_review_is_a_thread_of_its_own_too(make: Make, upstream: FakeUpstream) -> None:
    upstream.distinct_ids = True

    def review(name: str) -> tuple[str, str]:
        client = make(name, OVER_BOTH[name])
        subprocess.run(["git", "init", "-q"], cwd=client.project, check=True)
        (client.project / "new.txt").write_text("unreviewed")
        events = client.run("review", "--uncommitted")
        return thread_of(events), said(events)

    for name, (root, words) in at_once(review, OVER_BOTH).items():
        assert "Review the current code changes" in words, name
        (turn,) = turns_of(upstream, root)
        assert turn.header("thread-id") != root == turn.header("x-codex-parent-thread-id"), name
        assert turn.header("x-openai-subagent") == "review", name


COMPACTING = {
    "local, http": OVER_BOTH["http"],
    "local, websocket": OVER_BOTH["websocket"],
    "remote, http": Setup(provider(ENV_KEY, name="OpenAI")),
    "remote, websocket": Setup(provider(f"{ENV_KEY}\n{SOCKETS}", name="OpenAI")),
}


def test_a_compaction_opens_the_next_window_and_the_conversation_goes_on_in_it(make: Make, upstream: FakeUpstream) -> None:
    def fill(name: str) -> tuple[str, str]:
        client = make(name, COMPACTING[name], top="model_auto_compact_token_limit = 8500\n")
        first = client.run('call exec_command with {"cmd": "printf %08000d 0"}')
        return thread_of(first), said(client.run("resume", "--last", "again"))

    for name, (thread, words) in at_once(fill, COMPACTING).items():
        assert '"again"' in words, name
        turns = turns_of(upstream, thread)
        kinds = [metadata(turn)["request_kind"] for turn in turns]
        assert kinds.count("compaction") == 1, name
        at = kinds.index("compaction")
        windows = [(turn.header("x-codex-window-id") or "").rpartition(":")[2] for turn in turns]
        assert windows == ["0"] * (at + 1) + ["1"] * (len(turns) - at - 1), name
        is_remote = turns[at].json["input"][-1]["type"] == "compaction_trigger"
        assert is_remote == name.startswith("remote"), name


def test_a_spent_budget_ends_the_client_at_once_and_says_until_when(make: Make, served: Served, upstream: FakeUpstream) -> None:
    def spend(name: str) -> None:
        client = make(name, OVER_BOTH[name])
        client.environment["FLOWAY_KEY"] = served.manage("issue_key", name, "--requests", "1/month").splitlines()[-1]
        client.run("hello")
        with pytest.raises(AssertionError, match=r"usage limit\. Try again at .* 12:00"):
            client.run("hello")

    at_once(spend, OVER_BOTH)
    assert len(upstream.turns) == len(OVER_BOTH)


def test_a_refused_key_ends_the_client_at_once(make: Make, served: Served, upstream: FakeUpstream) -> None:
    def fail(name: str) -> None:
        client = make(name, OVER_BOTH[name])
        client.environment["FLOWAY_KEY"] = "fw_unknown"
        with pytest.raises(AssertionError, match="API key is not valid"):
            client.run("hello")

    already = len(served.output)
    at_once(fail, OVER_BOTH)
    assert sum("responses 4" in line for line in served.output[already:]) <= 3  # a handshake, and each client's POST
    assert upstream.turns == []


def test_where_there_are_no_sockets_the_client_uses_post_at_once(
    executable: str, gateway: Gateway, upstream: FakeUpstream, tmp_path: Path
) -> None:
    with override_settings(FLOWAY_WEBSOCKET=False):
        client = Client(executable, gateway, tmp_path / "off", SETUPS["openai_base_url"])
        assert '"hello"' in said(client.run("hello"))
    assert len(upstream.turns) == 1
    assert gateway.exchange().status == "completed"


def test_an_upstream_that_stays_broken_costs_six_requests(
    executable: str, gateway: Gateway, upstream: FakeUpstream, tmp_path: Path
) -> None:
    broken = faults.status(500, {"error": {"message": "boom"}}, ("retry-after", "1"))
    upstream.script(*[broken] * 6)
    client = Client(executable, gateway, tmp_path / "broken", SETUPS["env_key"])
    with pytest.raises(AssertionError, match="The upstream failed to answer"):
        client.run("hello")
    assert len(upstream.turns) == 6
