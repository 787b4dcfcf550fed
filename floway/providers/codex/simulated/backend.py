"""The simulated upstream: refuses what the backend refuses, and answers the rest by `answers`. State is in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from floway.providers.codex.simulated import answers, refusals
from floway.providers.codex.simulated.answers import Event, Ids, Turn
from floway.providers.codex.simulated.authority import ACCESS_SECONDS, Authority
from floway.providers.codex.simulated.http import Exchange, Request
from floway.providers.codex.simulated.logins import bearer_claims, read_refresh_token
from floway.providers.codex.simulated.refusals import Refusal

_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("x-request-id", "req_simulated"),
    ("cf-ray", "simulated-ray"),
    ("set-cookie", "__cf_bm=simulated; path=/; HttpOnly"),
    ("openai-organization", "org-simulated"),
    ("x-models-etag", '"simulated-1"'),
)


def frame(event: Event) -> bytes:
    """An event as the backend writes it; one without a type is a line that carries no data."""
    if "type" not in event:
        return b"event: keepalive\n\n"
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


class Backend:
    """One simulated upstream.

    :param clock: Unix seconds.
    :param pause: called between two events of an answer; the demo waits there, so that one sees a stream.
    """

    def __init__(self, clock: Callable[[], float] = time.time, pause: Callable[[], None] = lambda: None) -> None:
        self.revoked: set[str] = set()
        """Access tokens that are refused although they have not run out."""
        self.exchanges: list[str] = []
        """Refresh tokens in the order they came."""
        self.routing: dict[str, dict[str, Any]] = {}
        """What `accounts/check` says of an account beside the usual."""
        self.turn_state: str | None = None
        """What streamed answers give as the state of their turn."""
        self.authority = Authority(clock)
        """Who gives logins."""
        self._clock = clock
        self._pause = pause
        self._consumed: set[str] = set()
        self._prompts: dict[str, tuple[list[Any], list[Any]]] = {}
        self._served = 0
        self._lock = threading.Lock()

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        routes: dict[tuple[str, str], Callable[[Exchange, str], None]] = {
            ("POST", "/backend-api/codex/responses"): self.respond,
            ("GET", "/backend-api/codex/models"): self._models,
            ("GET", "/backend-api/wham/accounts/check"): self._accounts,
            ("GET", "/backend-api/wham/usage"): self._usage,
        }
        request = exchange.request
        if self.authority.handle(exchange):
            return
        if (request.method, request.path) == ("POST", "/oauth/token"):
            self._token(exchange)
            return
        route = routes.get((request.method, request.path))
        if route is None:
            exchange.answer_json(404, {"detail": "Not Found"})
            return
        account = self._account(request)
        if isinstance(account, Refusal):
            exchange.answer_json(account.status, account.body)
        else:
            route(exchange, account)

    def respond(self, exchange: Exchange, account_id: str) -> None:
        """Stream an answer, or refuse."""
        refused = refusals.refusal(exchange.request.json, account_id)
        if refused is not None:
            exchange.answer_json(refused.status, refused.body)
            return
        exchange.begin(self.headers())
        for event in self.events(exchange.request, account_id):
            exchange.chunk(frame(event))
            self._pause()
        exchange.end()

    def headers(self) -> list[tuple[str, str]]:
        """The header lines of an answer that streams."""
        lines = [*_HEADERS]
        if self.turn_state is not None:
            lines.append(("x-codex-turn-state", self.turn_state))
        for window, (percent, minutes) in answers.QUOTA.items():
            lines.append((f"x-codex-{window}-used-percent", str(percent)))
            lines.append((f"x-codex-{window}-window-minutes", str(minutes)))
            lines.append((f"x-codex-{window}-reset-at", str(int(self._clock()) + minutes * 60)))
        return lines

    def events(self, request: Request, account_id: str) -> Iterator[Event]:
        """The answer to a request that is not refused."""
        with self._lock:
            self._served += 1
            seed = f"{self._served:024x}"
            cached = self._cached(request)
        return answers.events(Turn(request.json, account_id, int(self._clock()), Ids(seed), cached))

    def _cached(self, request: Request) -> int:
        """Tokens of the longest beginning of this input that the session has sent before; remembers the prompt.

        Other tools or instructions are another beginning.
        """
        items, session = request.json["input"], request.header("session-id") or ""
        stands_before = [request.json.get(name) for name in ("instructions", "tools")]
        before, known = self._prompts.get(session, ([], []))
        same = 0
        while before == stands_before and same < min(len(items), len(known)) and items[same] == known[same]:
            same += 1
        self._prompts[session] = (stands_before, items)
        return answers.tokens(items[:same]) if same else 0

    def _account(self, request: Request) -> str | Refusal:
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        claims = bearer_claims(token) if scheme == "Bearer" else None
        if claims is None or claims[0] != request.header("chatgpt-account-id"):
            return refusals.unauthorized("unauthorized", "Could not parse your authentication token.")
        if token in self.revoked or claims[1] <= self._clock():
            return refusals.unauthorized("token_expired", "Provided authentication token is expired.")
        return claims[0]

    def _models(self, exchange: Exchange, account_id: str) -> None:
        models = [_model(slug, priority) for priority, slug in enumerate(refusals.MODELS)]
        exchange.answer_json(200, {"models": models}, [("etag", '"simulated-1"')])

    def _accounts(self, exchange: Exchange, account_id: str) -> None:
        account = {
            "id": account_id,
            "name": None,
            "structure": "personal",
            "plan_type": "plus",
            "is_deactivated": False,
            "can_access_with_session": True,
            "is_fedramp_compliant_workspace": False,
            "workspace_backend_origin": "NO_CONSTRAINT",
            "account_routing_override": "NO_CONSTRAINT",
            **self.routing.get(account_id, {}),
        }
        order = {"account_ordering": [account_id], "default_account_id": account_id}
        exchange.answer_json(200, {"accounts": [account], **order})

    def _usage(self, exchange: Exchange, account_id: str) -> None:
        """In the shape of the official client's public source; the backend's own was not captured."""
        now = int(self._clock())
        windows = {
            f"{window}_window": {
                "used_percent": percent,
                "limit_window_seconds": minutes * 60,
                "reset_after_seconds": minutes * 60,
                "reset_at": now + minutes * 60,
            }
            for window, (percent, minutes) in answers.QUOTA.items()
        }
        limit = {"allowed": True, "limit_reached": False, **windows}
        exchange.answer_json(200, {"plan_type": "plus", "rate_limit": limit, "additional_rate_limits": None, "credits": None})

    def _token(self, exchange: Exchange) -> None:
        token = str(exchange.request.json.get("refresh_token"))
        with self._lock:
            self.exchanges.append(token)
            reused, known = token in self._consumed, read_refresh_token(token)
            self._consumed.add(token)
        if reused:
            exchange.answer_json(401, _oauth_error("refresh_token_reused", "Your refresh token has already been used."))
        elif known is None:
            exchange.answer_json(401, _oauth_error("refresh_token_invalidated", "Your refresh token is not valid."))
        else:
            login, serial = known
            expires_at = int(self._clock()) + ACCESS_SECONDS
            tokens = login.document(expires_at, serial + 1)["tokens"]
            exchange.answer_json(200, {name: tokens[name] for name in ("id_token", "access_token", "refresh_token")})


def _oauth_error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _model(slug: str, priority: int) -> dict[str, Any]:
    lite = slug != "gpt-5.5"
    return {
        "slug": slug,
        "display_name": slug,
        "description": "Simulated.",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [{"effort": effort, "description": effort} for effort in ("low", "medium", "high")],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": priority,
        "base_instructions": "Simulated instructions.",
        "support_verbosity": True,
        "default_verbosity": "low",
        "supports_parallel_tool_calls": not lite,
        "use_responses_lite": lite,
        "truncation_policy": {"mode": "tokens", "limit": 10000},
        "experimental_supported_tools": [],
        "context_window": 272000,
    }
