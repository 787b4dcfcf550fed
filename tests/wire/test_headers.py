"""Header lines keep their order and case; looking one up ignores it."""

from __future__ import annotations

from floway.wire.headers import Headers

LINES = [("X-B", "1"), ("x-a", " 2 "), ("x-b", "3"), ("Empty", "")]


def test_lines_stay_as_they_came() -> None:
    assert list(Headers.of(LINES)) == LINES


def test_the_first_of_equal_names_wins_whatever_its_case() -> None:
    assert Headers.of(LINES).get("x-B") == "1"


def test_values_are_stripped_and_an_empty_one_is_none() -> None:
    headers = Headers.of(iter(LINES))
    assert headers.get("X-A") == "2"
    assert headers.get("empty") is None
    assert headers.get("absent") is None


def test_presence_is_asked_without_case() -> None:
    headers = Headers.of(LINES)
    assert "EMPTY" in headers
    assert "absent" not in headers
    assert 5 not in headers


def test_equal_lines_make_equal_headers() -> None:
    assert Headers.of(LINES) == Headers(tuple(LINES))
    assert hash(Headers.of(LINES)) == hash(Headers(tuple(LINES)))
