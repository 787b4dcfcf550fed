"""The operator's day, in Chromium against the shipped server and a simulated upstream, from the first start on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.browser import axe
from tests.browser.window import Browser
from tests.fakes import faults
from tests.fakes.caller import Caller, turn
from tests.fakes.served import Served
from tests.fakes.tokens import ALICE, document
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.browser
PASSWORD = "correct horse battery staple"
BRIEF = "What was agreed before: " + "delivery on Fridays, invoices by mail, no substitutes. " * 120
_TOKEN = re.compile(r"(?:[a-z2-7]{4}-){5}[a-z2-7]{4}")


@pytest.fixture
def gateway(listening_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """As somebody has just started it: no operator, no login, no key."""
    running = Served(tmp_path_factory.mktemp("day"), listening_upstream.url)
    running.start()
    yield running
    running.stop()


@dataclass
class Day:
    """The operator at the browser, and the programs that call meanwhile."""

    browser: Browser
    gateway: Served
    upstream: FakeUpstream
    caller: Caller

    def open(self, path: str = "") -> None:
        """A page of the admin."""
        self.browser.go(f"{self.gateway.url}/admin/{path}")

    def look(self, name: str) -> None:
        """The page can be read by everybody, and is kept if somebody wants to see it."""
        self.browser.picture(f"day-{name}")
        assert axe.violations(self.browser) == []


def test_the_operators_day(gateway: Served, browser: Browser, upstream: FakeUpstream) -> None:
    day = Day(browser, gateway, upstream, Caller(gateway.url))
    makes_the_first_account(day)
    imports_a_login(day)
    issues_a_key(day)
    sees_a_first_call(day)
    follows_a_conversation(day)
    finds_out_why_a_stream_failed(day)
    watches_requests_live(day)
    purges_a_conversation(day)
    sets_up_a_second_factor(day)


def makes_the_first_account(day: Day) -> None:
    token = next(found[0] for line in day.gateway.output if (found := _TOKEN.search(line)))
    day.open()
    day.browser.press("Make the first one")
    day.browser.fill(token=token, username="ada", password1=PASSWORD, password2=PASSWORD)
    day.browser.press("Make the account")
    day.browser.see("First run")
    day.look("first-run")


def imports_a_login(day: Day) -> None:
    day.open("accounts/oauthcredential/add/")
    day.browser.fill(paste=document(ALICE).decode())
    day.browser.press("Import")
    day.browser.see("alice@example.com")
    day.browser.see("usable")


def issues_a_key(day: Day) -> None:
    day.open()
    day.browser.press("Issue")
    day.browser.fill(name="laptop")
    day.browser.press("Issue")
    day.caller.key = day.browser.find(".reveal code").text
    day.look("key")
    day.browser.driver.refresh()
    day.browser.see("It was shown before")
    assert day.caller.key not in day.browser.driver.page_source


def sees_a_first_call(day: Day) -> None:
    assert day.caller.say("hello").status == 200
    day.open()
    day.browser.see("All is well.")
    assert "First run" not in day.browser.find("body").text


def follows_a_conversation(day: Day) -> None:
    """It goes on, forks, is compacted; then the upstream forgets it, and the page says so."""
    caller = day.caller
    first = caller.say(BRIEF).json["id"]
    second = caller.say("go on", previous=first).json["id"]
    assert caller.say("as a list", previous=second).status == 200
    assert caller.say("as a table", previous=second).status == 200
    body = {"model": "gpt-5.5", "previous_response_id": second}
    compacted = caller.post(body, path="/v1/responses/compact").json["id"]
    day.upstream._prompts.clear()
    last = caller.say("where were we?", previous=compacted)
    assert last.status == 200
    day.open("responses_app/conversation/")
    day.browser.find("#result_list tbody th a").click()
    day.browser.see("other window")
    day.browser.wait_for("document.querySelectorAll('.lineage a circle, .lineage a path').length === 6")
    day.browser.find(".lineage .compacted")
    day.look("conversation")
    day.open(f"responses_app/exchange/?q={last.headers['x-request-id']}")
    day.browser.find("#result_list tbody th a").click()
    day.browser.see("tokens not found")


def finds_out_why_a_stream_failed(day: Day) -> None:
    day.upstream.script(faults.cut_after(4))
    with day.caller.stream(turn("tell me everything")) as stream:
        assert list(stream.events())[-1]["type"] == "response.failed"
    day.open()
    day.browser.see("of the last hour failed")
    day.open("responses_app/exchange/?outcome=failed")
    day.browser.find("#result_list tbody th a").click()
    for said in ("upstream, cut before a terminal event", "What to do", "Timeline", "sent with alice@example.com"):
        day.browser.see(said)
    day.look("post-mortem")
    origin = {"origin": day.gateway.url, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    day.browser.driver.execute_cdp_cmd("Browser.grantPermissions", origin)
    day.browser.press("Copy as curl")
    day.browser.see("Copied")
    copied = day.browser.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied.startswith("curl")
    assert "/v1/responses" in copied
    assert day.caller.key not in copied


def watches_requests_live(day: Day) -> None:
    """A turn that is under way appears by itself, and is told as ended when it ends."""
    gate = faults.Gate()
    day.open()
    panel = "document.querySelector('[data-live]').innerText"
    assert "in flight" not in day.browser.driver.execute_script(f"return {panel}")
    day.upstream.script(faults.gated(gate, after=3))
    with day.caller.stream(turn("slowly")) as stream:
        stream.next("response.created")
        day.browser.wait_for(f"{panel}.includes('in flight')")
        gate.open()
        assert list(stream.events())[-1]["type"] == "response.completed"
    day.browser.wait_for(f"!{panel}.includes('in flight')")
    day.browser.press("Pause")
    day.browser.see("Go on")


def purges_a_conversation(day: Day) -> None:
    """What will be lost is said first; afterwards nobody can go on from it."""
    said = day.caller.say("forget this").json["id"]
    day.open("responses_app/conversation/")
    day.browser.find("#result_list tbody th a").click()
    day.browser.press("Purge its content")
    day.browser.press("See what would be lost")
    day.browser.see("This will be lost for good")
    day.look("purge")
    day.browser.fill(password=PASSWORD)
    day.browser.press("Purge")
    day.browser.see("ada")
    day.look("purged")
    assert day.caller.say("what did I say?", previous=said).json["error"]["code"] == "previous_response_not_found"


def sets_up_a_second_factor(day: Day) -> None:
    day.open()
    day.browser.press("Second factor")
    day.browser.fill(password=PASSWORD)
    day.browser.press("Set up")
    secret = day.browser.find("code.secret").text.replace(" ", "")
    day.look("scan")
    day.browser.fill(code=code_of(secret))
    day.browser.press("Confirm")
    recovery = day.browser.find(".codes code").text
    day.look("recovery-codes")
    day.browser.press("I have kept them")
    day.browser.press("Log out")
    day.open()
    day.browser.fill(username="ada", password=PASSWORD)
    day.browser.press("Log in")
    day.browser.fill(code=recovery)
    day.look("code")
    day.browser.press("Go on")
    day.browser.see("Requests, live")


def code_of(secret: str) -> str:
    """What an authenticator shows now (RFC 6238)."""
    step = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.digest(base64.b32decode(secret), step, hashlib.sha1)
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"
