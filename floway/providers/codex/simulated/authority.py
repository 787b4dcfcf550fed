"""The simulated auth server: a page to consent on in place of a login, codes that work once, PKCE that is checked."""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from floway.providers.codex.simulated.http import Exchange, Request
from floway.providers.codex.simulated.logins import CLIENT, Login

REDIRECTS = frozenset({"http://127.0.0.1:1455/auth/callback", "http://127.0.0.1:1457/auth/callback"})
ACCESS_SECONDS = 10 * 24 * 3600
_POLL_SECONDS = "1"
_FIRST_SERIAL = 1000
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Simulated sign-in</title>
<style>body {{ font: 1rem system-ui; margin: 4rem auto; max-width: 34rem; color-scheme: light dark }}
button, input {{ font: inherit; padding: .4rem .9rem }}</style>
<h1>Simulated sign-in</h1>{}</html>"""


@dataclass
class Code:
    """An authorization code that has been given."""

    challenge: str
    redirect_uri: str
    login: Login


@dataclass
class Device:
    """A device code; `code` is there once its person has consented."""

    user_code: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    code: str | None = None


class Authority:
    """Gives logins to whoever presses the button.

    `login` is the person at the browser; `consenting` has a device code's person be done at once.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """As new."""
        self.login = Login()
        self.consenting = False
        self.polls = 0
        self.exchanged: list[str] = []
        """Authorization codes in the order they came to be exchanged."""
        self.issued: list[dict[str, Any]] = []
        """The tokens given, oldest first."""
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, Device] = {}
        self._serial = _FIRST_SERIAL

    def handle(self, exchange: Exchange) -> bool:
        """Answer a request that is for the auth server; False where it is not."""
        request = exchange.request
        routes: dict[tuple[str, str], Callable[[Exchange], None]] = {
            ("GET", "/oauth/authorize"): self._authorize,
            ("POST", "/oauth/authorize"): self._consent,
            ("POST", "/api/accounts/deviceauth/usercode"): self._user_code,
            ("POST", "/api/accounts/deviceauth/token"): self._poll,
            ("GET", "/codex/device"): self._device_page,
            ("POST", "/codex/device"): self._device_consent,
        }
        route = routes.get((request.method, request.path))
        if route is None and (request.method, request.path) == ("POST", "/oauth/token") and _is_form(request):
            route = self._exchange
        if route is None:
            return False
        route(exchange)
        return True

    # --- in the browser ---

    def _authorize(self, exchange: Exchange) -> None:
        query = urlsplit(exchange.request.target).query
        if (wrong := _wrong(_fields(query))) is not None:
            _page(exchange, f"<p>Refused: {html.escape(wrong)}</p>", 400)
            return
        action = html.escape(f"/oauth/authorize?{query}")
        buttons = '<button name="answer" value="yes">Continue</button> <button name="answer" value="no">Cancel</button>'
        _page(
            exchange,
            f'<p>Continue as {html.escape(self.login.email)}?</p><form method="post" action="{action}">{buttons}</form>',
        )

    def _consent(self, exchange: Exchange) -> None:
        asked = _fields(urlsplit(exchange.request.target).query)
        if (wrong := _wrong(asked)) is not None:
            _page(exchange, f"<p>Refused: {html.escape(wrong)}</p>", 400)
            return
        if _fields(exchange.request.body.decode()).get("answer") == "no":
            found = {"error": "access_denied", "error_description": "The person pressed cancel."}
        else:
            found = {"code": self._give(asked["code_challenge"], asked["redirect_uri"]), "scope": asked["scope"]}
        location = f"{asked['redirect_uri']}?{urlencode({**found, 'state': asked['state']})}"
        exchange.answer(302, b"", [("location", location)])

    def _give(self, challenge: str, redirect_uri: str) -> str:
        code = f"ac_simulated_{secrets.token_urlsafe(32)}"
        self._codes[code] = Code(challenge, redirect_uri, self.login)
        return code

    # --- with a code ---

    def _user_code(self, exchange: Exchange) -> None:
        if exchange.request.json != {"client_id": CLIENT}:
            exchange.answer_json(400, {"error": "invalid_client"})
            return
        device_id = f"deviceauth_{secrets.token_hex(16)}"
        device = Device(f"{secrets.token_hex(2)}-{secrets.token_hex(3)}".upper())
        self._devices[device_id] = device
        answer = {"device_auth_id": device_id, "user_code": device.user_code, "interval": _POLL_SECONDS}
        exchange.answer_json(200, answer)

    def _poll(self, exchange: Exchange) -> None:
        asked = exchange.request.json
        device = self._devices.get(str(asked.get("device_auth_id")))
        self.polls += 1
        if device is None or device.user_code != asked.get("user_code"):
            exchange.answer_json(404, {"error": {"code": "deviceauth_unknown"}})
            return
        if self.consenting:
            self._agree(device, exchange)
        if device.code is None:
            exchange.answer_json(403, {"error": {"code": "deviceauth_authorization_pending"}})
            return
        found = {
            "authorization_code": device.code,
            "code_challenge": _challenge(device.verifier),
            "code_verifier": device.verifier,
        }
        exchange.answer_json(200, {"status": "success", **found})

    def _device_page(self, exchange: Exchange) -> None:
        form = '<label>Code <input name="user_code" autofocus></label> <button>Continue</button>'
        _page(exchange, f'<p>Type in the code.</p><form method="post">{form}</form>')

    def _device_consent(self, exchange: Exchange) -> None:
        typed = _fields(exchange.request.body.decode()).get("user_code", "").strip().upper()
        device = next((device for device in self._devices.values() if device.user_code == typed), None)
        if device is None:
            _page(exchange, "<p>There is no such code.</p>", 400)
            return
        self._agree(device, exchange)
        _page(exchange, f"<p>Signed in as {html.escape(self.login.email)}. You may close this page.</p>")

    def _agree(self, device: Device, exchange: Exchange) -> None:
        if device.code is None:
            redirect = f"http://{exchange.request.header('host')}/deviceauth/callback"
            device.code = self._give(_challenge(device.verifier), redirect)

    # --- both ---

    def _exchange(self, exchange: Exchange) -> None:
        asked = _fields(exchange.request.body.decode())
        with self._lock:
            self.exchanged.append(asked.get("code", ""))
            code = self._codes.pop(asked.get("code", ""), None)
            self._serial += 1
            serial = self._serial
        right = code is not None and (asked.get("grant_type"), asked.get("client_id")) == ("authorization_code", CLIENT)
        if code is None or not right or asked.get("redirect_uri") != code.redirect_uri:
            exchange.answer_json(400, {"error": "invalid_grant", "error_description": "The code is not good."})
        elif _challenge(asked.get("code_verifier", "")) != code.challenge:
            exchange.answer_json(400, {"error": "invalid_grant", "error_description": "The code verifier is not good."})
        else:
            kept = code.login.document(int(self._clock()) + ACCESS_SECONDS, serial)["tokens"]
            tokens = {name: kept[name] for name in ("id_token", "access_token", "refresh_token")}
            self.issued.append(tokens)
            exchange.answer_json(200, tokens)


def _wrong(asked: dict[str, str]) -> str | None:
    """What the authorize request lacks; None where it is right."""
    if (asked.get("response_type"), asked.get("client_id")) != ("code", CLIENT):
        return "no such client"
    if asked.get("redirect_uri") not in REDIRECTS:
        return "no such redirect"
    if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
        return "no proof key"
    if len(asked.get("state", "")) < 32:
        return "no state"
    return None if "offline_access" in asked.get("scope", "").split() else "no offline access"


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _fields(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _is_form(request: Request) -> bool:
    return (request.header("content-type") or "").startswith("application/x-www-form-urlencoded")


def _page(exchange: Exchange, inner: str, status: int = 200) -> None:
    exchange.answer(status, _PAGE.format(inner).encode(), [("content-type", "text/html; charset=utf-8")])
