"""What the gateway would send in the official client's place, held against what that client was seen to send.

A request is laid out in fields: `header NAME`, `body KEY`, `client_metadata KEY`, `turn_metadata KEY`, `input KIND KEY`, and
the orders in which keys stand. Against another run's request ids, prompts and tools are compared by their shape; what was said
is compared with the request that was replayed, which must go on as it came.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import zstandard

from floway.providers.codex.intended import OF_THE_ACCOUNT, OF_THE_RUN, Verdict, matches, reason_for
from floway.providers.codex.protocol import turn_metadata
from floway.providers.codex.protocol.constants import ROUTING_OVERRIDE, TURN_METADATA
from floway.providers.codex.protocol.routing import Routing
from floway.providers.contract import Account, Action, Entropy, RequestContext, ResponsesProvider, ResponsesRequest
from floway.wire.headers import HeaderLine, Headers
from floway.wire.json import JSON, JSONObject, dumps, loads

_BACKEND_PATH = "/backend-api/"
# What the gateway takes off a request before a provider sees it.
_TAKEN_OFF = frozenset({"authorization", "content-encoding", "content-length", "cookie", "host"})
_FRAMING = frozenset({"content-length", "cookie", "host"})
_IN_FIELDS_OF_THEIR_OWN = frozenset({"client_metadata", "input"})
_CONTENT = ("instructions", "tools")
_LONGEST_SHOWN = 60
_ID = re.compile(r"([a-z]{0,8}_?)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(:[0-9]+)?")

Fields = dict[str, JSON]


class NotACapture(ValueError):
    """A document is no capture that can be replayed; `str` says why."""


@dataclass(frozen=True, slots=True)
class Capture:
    """One request, as seen on the wire. `name` is for people."""

    name: str
    path: str
    headers: tuple[HeaderLine, ...] = field(repr=False)
    body: JSONObject = field(repr=False)

    @property
    def to_third_party(self) -> bool:
        """Did it go to somebody else than the backend?"""
        return not self.path.startswith(_BACKEND_PATH)


@dataclass(frozen=True, slots=True)
class Finding:
    """One field of a request beside the same field of the client's, both as they are compared.

    :param reason: why a difference is meant; None where it is not, or where there is none.
    """

    field: str
    verdict: Verdict
    expected: str
    sent: str
    reason: str | None

    @property
    def unexplained(self) -> bool:
        """Is this a difference that nobody meant?"""
        return self.verdict is not Verdict.EQUAL and self.reason is None


def read_capture(name: str, document: JSON) -> Capture:
    """A capture from its JSON: `method`, `path`, `headers` as a list of pairs, `body`.

    :raises NotACapture: it is none, or not of a request for a response.
    """
    if not isinstance(document, dict) or not isinstance(document.get("headers"), list):
        raise NotACapture("no JSON object with a list of headers")
    method, path = document.get("method"), document.get("path")
    if method != "POST" or not isinstance(path, str) or not path.endswith("/responses"):
        raise NotACapture("no POST to …/responses")
    body = document.get("body")
    if not isinstance(body, dict) or not all(map(_is_line, document["headers"])):
        raise NotACapture("its body is no JSON object, or a header is no pair of texts")
    lines = ((str(name).lower(), str(value)) for name, value in document["headers"])
    return Capture(name, path, tuple(line for line in lines if not line[0].startswith(":")), body)


def _is_line(value: JSON) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)


def replay(provider: ResponsesProvider, capture: Capture, account: Account, started_at: datetime, entropy: Entropy) -> Capture:
    """What `provider` would send if `capture` came to it as a conversation's first request, for an account routed as it was.

    :raises ProviderRefused: it would send nothing.
    """
    headers = Headers.of(line for line in capture.headers if line[0] not in _TAKEN_OFF)
    inbound = ResponsesRequest(headers, capture.body)
    claim = provider.identify(inbound, None, None, started_at, entropy)
    context = RequestContext(
        attempt_id=capture.name,
        started_at=started_at,
        entropy=entropy,
        action=Action.GENERATE,
        inbound=inbound,
        account=replace(account, facts=_facts(capture)),
        claim=claim,
        note=claim.note,
        continued=None,
        latest=None,
        generation=0,
    )
    request = provider.prepare_responses_request(context).request
    path = request.url.partition("://")[2].partition("/")[2]
    packed = dict(request.headers).get("content-encoding") == "zstd"
    body = zstandard.ZstdDecompressor().decompress(request.body) if packed else request.body
    return Capture(capture.name, f"/{path}", request.headers, loads(body))


def _facts(capture: Capture) -> JSON:
    return Routing(override=dict(capture.headers).get(ROUTING_OVERRIDE)).facts()


def compare(came: Capture, expected: Capture, sent: Capture) -> tuple[Finding, ...]:
    """Every field of `sent` beside the same of `expected`.

    :param came: the request that was replayed.
    :param expected: what the official client sends in its place: the same capture, or its twin of another run.
    :param sent: what the gateway sends.
    """
    other_run = expected is not came
    told = _told(came)

    def findings(wanted: Fields, got: Fields) -> Iterator[Finding]:
        for name in dict.fromkeys([*wanted, *got]):
            by_shape = matches(name, OF_THE_ACCOUNT) or (other_run and matches(name, OF_THE_RUN))
            verdict = _verdict(name, wanted, got, by_shape=by_shape)
            reason = reason_for(name, verdict, came=name in told, to_third_party=expected.to_third_party)
            expects, gets = (_shown(side[name], by_shape=by_shape) if name in side else "" for side in (wanted, got))
            yield Finding(name, verdict, expects, gets, None if verdict is Verdict.EQUAL else reason)

    common = {
        **_orders(expected, sent),
        **_flat(expected),
        **(_kinds(expected, only=None) if other_run else {}),
        **_content(came),
    }
    got = {
        **_orders(sent, expected),
        **_flat(sent),
        **(_kinds(sent, only=expected) if other_run else {}),
        **_content(sent),
    }
    return tuple(findings(common, got))


def _verdict(name: str, wanted: Fields, got: Fields, *, by_shape: bool) -> Verdict:
    if name not in got:
        return Verdict.MISSING
    if name not in wanted:
        return Verdict.EXTRA
    pair = (wanted[name], got[name])
    same = shape(pair[0]) == shape(pair[1]) if by_shape else pair[0] == pair[1]
    return Verdict.EQUAL if same else Verdict.DIFFERENT


# --- a request in fields ---


def _told(capture: Capture) -> frozenset[str]:
    return frozenset({**_flat(capture), **_kinds(capture, only=None)})


def _flat(capture: Capture) -> Fields:
    headers = dict(capture.headers)
    client = capture.body.get("client_metadata")
    metadata = turn_metadata.parse(headers.get(TURN_METADATA, "")) or {}
    client = client if isinstance(client, dict) else {}
    return {
        **{f"header {name}": value for name, value in headers.items()},
        **{f"body {key}": value for key, value in capture.body.items() if key not in _IN_FIELDS_OF_THEIR_OWN},
        **{f"client_metadata {key}": value for key, value in client.items()},
        **{f"turn_metadata {key}": value for key, value in metadata.items()},
        "turn_metadata in header and body": headers.get(TURN_METADATA) == client.get(TURN_METADATA),
    }


def _orders(capture: Capture, other: Capture) -> Fields:
    """In which order the keys stand that both requests have; `client_metadata` is left out, the client shuffles it."""
    columns = {"headers": _header_names, "body": _body_keys, "turn_metadata": _metadata_keys}
    return {f"order of {name}": [key for key in keys(capture) if key in keys(other)] for name, keys in columns.items()}


def _header_names(capture: Capture) -> list[str]:
    return [name for name, _ in capture.headers if name not in _FRAMING]


def _body_keys(capture: Capture) -> list[str]:
    return list(capture.body)


def _metadata_keys(capture: Capture) -> list[str]:
    return list(turn_metadata.parse(dict(capture.headers).get(TURN_METADATA, "")) or {})


def _items(capture: Capture) -> list[JSON]:
    items = capture.body.get("input")
    return items if isinstance(items, list) else []


def _kind(item: JSON) -> str:
    return f"{item.get('type', 'message')}/{item.get('role', '-')}" if isinstance(item, dict) else "?/-"


def _kinds(capture: Capture, *, only: Capture | None) -> Fields:
    """The keys of each kind of item, with all shapes that their values take.

    :param only: leave out the kinds that this request doesn't have, and compare no more of the order than it has.
    """
    items = _items(capture)
    known = {_kind(item) for item in _items(only or capture)}
    shapes: dict[str, set[str]] = {}
    for item in items:
        if isinstance(item, dict) and _kind(item) in known:
            for key, value in item.items():
                shapes.setdefault(f"input {_kind(item)} {key}", set()).add(shape(value))
    begins = [_kind(item) for item in items][: len(_items(only or capture))]
    return {"order of input": begins, **{name: sorted(found) for name, found in shapes.items()}}


def _content(capture: Capture) -> Fields:
    items = {f"content input {at}": item for at, item in enumerate(_items(capture))}
    return items | {f"content {key}": capture.body[key] for key in _CONTENT if key in capture.body}


# --- values ---


def shape(value: JSON) -> str:
    """What kind of value it is: ids by the version of their UUID, objects by their keys no further."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return _shape_of_text(value)
        case int() | float():
            return "number"
        case Mapping():
            return "object"
    return "list"


def _shape_of_text(text: str) -> str:
    if text.startswith("Bearer "):
        return "Bearer token"
    if text.startswith("{"):
        return "JSON"
    found = _ID.fullmatch(text)
    return f"{found[1]}UUIDv{uuid.UUID(found[2]).version}{':number' if found[3] else ''}" if found else "text"


def _shown(value: JSON, *, by_shape: bool) -> str:
    text = shape(value) if by_shape else value if isinstance(value, str) else dumps(value).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
