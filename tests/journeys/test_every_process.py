"""What an operator takes away is gone at once, in every process: what each keeps in memory is good until it is changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.caller import Caller
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream


@pytest.fixture(scope="module")
def two_more(served: Served) -> Iterator[Served]:
    """Two processes beside the served one, on the same database."""
    server = served.sibling(FLOWAY_WORKERS="2")
    server.start()
    yield server
    server.stop()


def statuses(urls: tuple[str, ...], key: str) -> set[int]:
    """What all processes answer; connections are spread over those of one address."""
    return {Caller(url, key).say("hello").status for url in urls for _ in range(10)}


def test_a_key_that_was_disabled_is_refused_everywhere(served: Served, two_more: Served, upstream: FakeUpstream) -> None:
    key, urls = served.manage("issue_key", "fleeting").splitlines()[-1], (served.url, two_more.url)
    assert statuses(urls, key) == {200}
    served.ask("ApiKey.objects.filter(name='fleeting').update(enabled=False)")
    assert statuses(urls, key) == {401}


def test_a_login_that_was_disabled_serves_nobody(served: Served, two_more: Served, upstream: FakeUpstream) -> None:
    urls = served.url, two_more.url
    assert statuses(urls, served.key) == {200}
    turns = len(upstream.turns)
    try:
        served.ask("OAuthCredential.objects.update(state='disabled')")
        assert statuses(urls, served.key) == {503}
        assert len(upstream.turns) == turns
    finally:
        served.ask("OAuthCredential.objects.update(state='active')")
    assert statuses(urls, served.key) == {200}


def test_a_login_that_a_key_may_no_longer_use_serves_it_nowhere(
    served: Served, two_more: Served, upstream: FakeUpstream
) -> None:
    key, urls = served.manage("issue_key", "choosy").splitlines()[-1], (served.url, two_more.url)
    other = "OAuthCredential.objects.get_or_create(provider='codex', subject='nobody', state='disabled')[0]"
    assert statuses(urls, key) == {200}
    served.ask(f"ApiKey.objects.get(name='choosy').credentials.add({other})")
    assert statuses(urls, key) == {503}
    served.ask("ApiKey.objects.get(name='choosy').credentials.clear()")
    assert statuses(urls, key) == {200}
    served.ask("ApiKeySecret.objects.filter(key__name='choosy').delete()")
    assert statuses(urls, key) == {401}
