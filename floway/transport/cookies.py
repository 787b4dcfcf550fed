"""The cookies of one session: taken from answers, said again where they belong."""

from __future__ import annotations

import time
from math import inf
from typing import Any
from urllib.parse import urlsplit

from requests.cookies import MockRequest, RequestsCookieJar

from floway.wire.headers import Headers

_MOST_REMEMBERED = 64


class Cookies:
    """A jar, and what it was found to say to each URL: looking through it takes as long as reading an answer's head."""

    def __init__(self) -> None:
        self._jar = RequestsCookieJar()
        self._said: dict[str, tuple[str | None, float]] = {}

    def header(self, url: str) -> str | None:
        """The cookies for `url`, as one header value, or None."""
        value, until = self._said.get(url, (None, -inf))
        now = time.time()
        if now < until:
            return value
        asked: Any = MockRequest(_Request(url))
        self._jar.add_cookie_header(asked)
        found: str | None = asked.get_new_headers().get("Cookie")
        if len(self._said) >= _MOST_REMEMBERED:
            self._said.clear()
        self._said[url] = found, min((cookie.expires for cookie in self._jar if cookie.expires is not None), default=inf)
        return found

    def take(self, url: str, headers: Headers) -> None:
        """Those of an answer of `url`."""
        if lines := headers.every("set-cookie"):
            asked: Any = MockRequest(_Request(url))
            answered: Any = _Answer(lines)
            self._jar.extract_cookies(answered, asked)
            self._said.clear()


class _Request:
    """What a cookie jar asks of a request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}
        self.type = urlsplit(url).scheme


class _Answer:
    """What a cookie jar asks of an answer."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    def info(self) -> _Answer:
        return self

    def get_all(self, name: str, default: Any = None) -> Any:
        return self._lines if name.lower() == "set-cookie" else default
