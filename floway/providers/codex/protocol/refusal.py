"""A refusal of the backend, read out of whichever of its shapes it came in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from floway.providers.codex.protocol import quota
from floway.providers.codex.protocol.upstream_text import sentence, word
from floway.wire.headers import Headers
from floway.wire.json import JSON, InvalidJSON, JSONObject, loads

_UNSUPPORTED_PARAMETER = re.compile(r"Unsupported parameter: '?([A-Za-z0-9_.\[\]]{1,64})'?")
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]\-]{1,128}")
_FARTHEST = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the backend said; every text is presentable, absent where it said nothing usable.

    :param raw: the error object as it came, for the fields that only one kind of refusal has.
    """

    code: str | None
    type: str | None
    message: str | None
    param: str | None
    raw: JSONObject

    @property
    def words(self) -> tuple[str, ...]:
        """What to look the refusal up by, the most telling first."""
        return tuple(told for told in (self.code, self.type) if told is not None)


def of_body(body: bytes) -> Refusal | None:
    """The refusal in an answer's body: `{"error": …}`, `{"detail": …}`, or bare; None where it is no JSON object."""
    try:
        parsed = loads(body.replace(b"\\u0000", b"\\ufffd"))  # a stray NUL shall not hide what is said around it
    except InvalidJSON:
        return None
    if not isinstance(parsed, dict):
        return None
    inner = parsed.get("error", parsed.get("detail", parsed))
    return of_error(inner if inner is not None else parsed)


def of_error(error: JSON) -> Refusal:
    """The refusal that an `error` or a `detail` tells of, be it an object, a text or a list of complaints."""
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, str):
        return Refusal(word(error) if "_" in error else None, None, sentence(error), _param_in(error), {})
    if not isinstance(error, dict):
        return Refusal(None, None, None, None, {})
    text = error.get("message") or error.get("error_description") or error.get("msg") or error.get("detail")
    param = error.get("param")
    stated = param if isinstance(param, str) and _PARAM.fullmatch(param) else None
    return Refusal(word(error.get("code")), word(error.get("type")), sentence(text), stated or _param_in(text), error)


def _param_in(text: JSON) -> str | None:
    found = _UNSUPPORTED_PARAMETER.search(text[:500]) if isinstance(text, str) else None
    return found[1].rstrip(".") if found else None


def resets_at(refusal: Refusal, headers: Headers, now: datetime) -> datetime | None:
    """When a spent account is usable again: as the refusal says, else the reset of the fullest window of its headers."""
    told = quota.moment(quota.number(refusal.raw.get("resets_at")), now)
    after = quota.number(refusal.raw.get("resets_in_seconds"))
    if told is None and after is not None and after <= _FARTHEST.total_seconds():
        told = now + timedelta(seconds=int(after))
    if told is None:
        spent = [window for window in quota.windows(headers, now) if window.used_percent >= 100 and window.resets_at]
        told = max((window.resets_at for window in spent if window.resets_at), default=None)
    return told
