"""The official client's captured requests, sent through the door: what reaches the upstream is what that client sends there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.core.management import CommandError, call_command

from floway.providers.codex import parity
from floway.providers.codex.intended import Verdict
from floway.providers.codex.parity import Capture, Finding
from tests.conftest import Gateway
from tests.fakes.caller import Reply
from tests.fakes.tokens import ALICE
from tests.fakes.upstream import FakeUpstream
from tests.providers.factories import GOLDEN, capture, captured_lines

TWINS: dict[str, str] = json.loads((GOLDEN / "twins.json").read_text())
GATEWAY = sorted(path.stem for path in GOLDEN.glob("*POST_v1_responses_200.json"))
OFFICIAL = sorted(path.stem for path in GOLDEN.glob("*POST_backend_api_codex_responses_200.json"))
KNOWN_UPSTREAM = {"gpt-5.5", "gpt-6.1-sol"}


def captured(name: str) -> Capture:
    return parity.read_capture(name, capture(name))


def send(gateway: Gateway, name: str) -> Reply:
    """The captured request as it came, but for the key."""
    taken = capture(name)
    body = json.dumps(taken["body"]).encode()
    lines = {header: value for header, value in captured_lines(taken) if header not in {"host", "content-length"}}
    if lines.get("content-encoding") == "zstd":
        body = zstandard.ZstdCompressor().compress(body)
    return gateway.send("POST", "/v1/responses", body, {**lines, "authorization": f"Bearer {gateway.key}"})


def reached(upstream: FakeUpstream) -> Capture:
    request = upstream.turns[-1]
    return Capture("reached", request.path, tuple((name.lower(), value) for name, value in request.headers), request.json)


def unexplained(findings: tuple[Finding, ...]) -> list[Finding]:
    assert sum(finding.verdict is Verdict.EQUAL for finding in findings) > 40, "hardly anything was compared"
    return [finding for finding in findings if finding.unexplained]


@pytest.mark.parametrize("name", TWINS)
def test_a_request_to_the_gateway_leaves_it_in_its_twins_shape(gateway: Gateway, upstream: FakeUpstream, name: str) -> None:
    reply = send(gateway, name)
    assert reply.status == 200, reply.body
    assert unexplained(parity.compare(captured(name), captured(TWINS[name]), reached(upstream))) == []


@pytest.mark.parametrize("name", [*(name for name in GATEWAY if name not in TWINS), *OFFICIAL])
def test_a_request_without_a_twin_goes_on_as_it_came(gateway: Gateway, upstream: FakeUpstream, name: str) -> None:
    came = captured(name)
    upstream.distinct_ids = "x-codex-parent-thread-id" in dict(came.headers)
    override = dict(came.headers).get("x-openai-account-routing-override", "NO_CONSTRAINT")
    upstream.routing[ALICE.account_id] = {"account_routing_override": override}
    reply = send(gateway, name)
    assert upstream.turns, reply.body
    assert (reply.status == 200) is (came.body["model"] in KNOWN_UPSTREAM)
    assert unexplained(parity.compare(came, came, reached(upstream))) == []


def test_every_request_to_a_gateway_is_replayed_and_every_twin_exists() -> None:
    assert set(TWINS) <= set(GATEWAY)
    assert set(TWINS.values()) <= set(OFFICIAL)
    assert {twin.partition("_")[0] for twin in TWINS.values()} == {"official", "old0142"}, "each profile has a pair"


def test_the_command_reports_no_difference_that_nobody_meant(capfd: Any) -> None:
    call_command("codex_parity")
    summary = capfd.readouterr().out.splitlines()[-1]
    assert summary.endswith(" 0 unexplained")
    with capfd.disabled():
        print(f"\nparity with the official client: {summary}")


def test_the_command_ends_with_status_1_where_a_difference_is_not_explained(tmp_path: Path, capfd: Any) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    taken = capture(OFFICIAL[0])
    for directory, headers in ((mine, taken["headers"]), (theirs, [["x-unheard-of", "1"], *taken["headers"]])):
        directory.mkdir()
        (directory / "turn.json").write_text(json.dumps({**taken, "headers": headers}))
    call_command("codex_parity", mine)
    with pytest.raises(CommandError) as ended:
        call_command("codex_parity", mine, against=theirs)
    assert ended.value.returncode == 1
    assert "UNEXPLAINED header x-unheard-of: 1" in capfd.readouterr().out


@pytest.mark.parametrize("content", ["no JSON", "{}"])
def test_the_command_says_when_there_is_nothing_to_replay(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    for where in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(CommandError):
            call_command("codex_parity", where)
