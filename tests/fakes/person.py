"""A person at a browser, as far as a sign-in needs one: opens the provider's pages and presses their buttons."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlencode, urlsplit


def ask(method: str, url: str, body: str = "") -> tuple[int, dict[str, str], str]:
    """One request, redirects not followed: status, headers in lower case, text."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body or None, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def signs_in(url: str, answer: str = "yes") -> str:
    """Opens the sign-in page and presses a button; the address that the browser is sent to."""
    status, _, page = ask("GET", url)
    assert status == 200, page
    assert "Continue as" in page
    status, headers, text = ask("POST", url, urlencode({"answer": answer}))
    assert status == 302, text
    return headers["location"]


def types_in(url: str, user_code: str) -> str:
    """Opens the page for codes and types one in; what it says then."""
    assert ask("GET", url)[0] == 200
    return ask("POST", url, urlencode({"user_code": user_code}))[2]


def link_in(page: str) -> str:
    """The address of the sign-in page that a page of the admin links to."""
    found = re.search(r'<a class="button" href="([^"]+)" target="_blank" rel="noopener noreferrer">', page)
    assert found, page
    return found[1].replace("&amp;", "&")


def code_in(page: str) -> str:
    """The code that a page of the admin shows."""
    found = re.search(r'<code aria-label="The code to type in">([^<]+)</code>', page)
    assert found, page
    return found[1]
