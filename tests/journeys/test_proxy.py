"""A credential's proxy: everything of it goes through, nothing goes round, and nothing secret of it is shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from pytest_django import Settings

from accounts import proxies, quota, signing_in, tokens
from accounts.models import CredentialProxy, OAuthCredential
from floway import transport
from floway.providers.contract import NotYet, Proxy, UpstreamRequest, UpstreamUnreachable
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.factories import make_credential
from tests.fakes.proxy import FakeProxy
from tests.fakes.tokens import BOB
from tests.fakes.upstream import FakeUpstream


@pytest.fixture
def proxy(settings: Settings) -> Iterator[FakeProxy]:
    settings.FLOWAY_ALLOW_LOCAL_PROXY = True
    running = FakeProxy()
    yield running
    running.close()


def behind(credential: OAuthCredential | None, proxy: FakeProxy) -> OAuthCredential:
    assert credential is not None
    proxies.keep(credential, f"http://someone:s3cret@127.0.0.1:{proxy.port}")
    return OAuthCredential.objects.select_related("tokens", "proxy").get(pk=credential.pk)


def asked(proxy: FakeProxy) -> list[str]:
    return [head.split(b" ")[1].decode().partition("/backend-api")[2] or "/oauth/token" for head in proxy.heads]


def test_every_call_of_the_credential_goes_through_its_proxy(
    gateway: Gateway, upstream: FakeUpstream, proxy: FakeProxy
) -> None:
    credential = behind(gateway.credential, proxy)
    upstream.script(faults.unauthorized())
    assert gateway.say("hello").status == 200
    assert gateway.get("/v1/models").status == 200
    quota.check(credential)
    through = asked(proxy)
    assert {path.partition("?")[0] for path in through} == {
        "/wham/accounts/check",
        "/codex/responses",
        "/oauth/token",
        "/codex/models",
        "/wham/usage",
    }
    assert len(upstream.requests) == len(proxy.heads), "something went round the proxy"
    assert all(b"proxy-authorization: basic " in head.lower() for head in proxy.heads), "the proxy was not told who asks"


def test_a_sign_in_that_renews_the_credential_goes_through_it_too(
    gateway: Gateway, upstream: FakeUpstream, proxy: FakeProxy
) -> None:
    credential = behind(gateway.credential, proxy)
    person = signing_in.Person(user_id=get_user_model().objects.create_user("ada").pk, session_key="session")
    device = signing_in.methods("codex")["device"]
    pending = signing_in.begin("codex", device, person, credential)
    assert isinstance(signing_in.finish(pending, None), NotYet)
    assert len(upstream.requests) == len(proxy.heads) == 2, "something went round the proxy"
    signing_in.begin("codex", device, person, None)
    assert (len(upstream.requests), len(proxy.heads)) == (3, 2), "a new login has no proxy yet"


def test_a_proxy_that_is_not_there_is_not_gone_round(gateway: Gateway, upstream: FakeUpstream, proxy: FakeProxy) -> None:
    proxy.close()
    behind(gateway.credential, proxy)
    reply = gateway.say("hello")
    assert (reply.status, reply.error["code"]) == (503, "upstream_unreachable")
    assert upstream.requests == []


def test_a_proxy_that_refuses_is_not_gone_round(gateway: Gateway, upstream: FakeUpstream, proxy: FakeProxy) -> None:
    behind(gateway.credential, proxy)
    assert gateway.say("hello").status == 200
    before = len(upstream.requests)
    proxy.refuses = True
    reply = gateway.say("again")
    assert (reply.status, reply.error["code"]) == (503, "upstream_error")
    assert len(upstream.requests) == before


def test_a_proxy_that_cannot_be_unsealed_is_not_gone_round(gateway: Gateway, upstream: FakeUpstream, proxy: FakeProxy) -> None:
    behind(gateway.credential, proxy)
    CredentialProxy.objects.update(sealed=b"not sealed")
    assert gateway.say("hello").status == 500
    assert upstream.requests == []


def test_another_credential_does_not_share_it(gateway: Gateway, upstream: FakeUpstream, proxy: FakeProxy) -> None:
    behind(gateway.credential, proxy)
    bob = make_credential(BOB)
    assert tokens.held(bob).account.proxy is None


def test_an_encrypted_upstream_is_reached_through_a_tunnel_or_not_at_all(proxy: FakeProxy) -> None:
    request = UpstreamRequest("GET", "https://chatgpt.example:8443/x", (("host", "chatgpt.example:8443"),), b"")
    through = Proxy(f"http://someone:s3cret@127.0.0.1:{proxy.port}", local=True)
    with pytest.raises(UpstreamUnreachable) as caught:
        transport.send(request, session="tunnel", proxy=through, connect_timeout=5, answer_timeout=5)
    assert proxy.heads[0].startswith(b"CONNECT chatgpt.example:8443 ")
    assert b"proxy-authorization: basic " in proxy.heads[0].lower()
    assert "s3cret" not in str(caught.value)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "socks4://proxy.example:1",
        "ftp://proxy.example",
        "proxy.example:8080",
        "http://",
        "http://169.254.169.254/",
        "http://[fe80::1]:80",
        "http://[::ffff:169.254.169.254]",
        "http://100.100.100.200",
        "http://0.0.0.0:8000",
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://proxy.example/path",
        "http://proxy.example?x",
        "http://proxy.example:99999",
        "http://prox y.example",
    ],
)
def test_what_can_be_no_proxy_is_refused(url: str) -> None:
    with pytest.raises(proxies.InvalidProxy) as refused:
        proxies.checked(url)
    assert "169.254" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://proxy.example:8080", "https://a:b@proxy.example", "http://10.1.2.3:3128"])
def test_what_can_be_a_proxy_is_taken(url: str) -> None:
    assert proxies.checked(url) == url


def test_a_name_that_leads_to_this_machine_is_found_out_when_it_is_connected_to(proxy: FakeProxy) -> None:
    request = UpstreamRequest("GET", "http://upstream.example/x", (("host", "upstream.example"),), b"")
    through = Proxy(f"http://localhost:{proxy.port}", local=False)
    with pytest.raises(UpstreamUnreachable):
        transport.send(request, session="rebound", proxy=through, connect_timeout=5, answer_timeout=5)
    assert proxy.heads == []


def test_what_is_shown_of_a_proxy_holds_no_secret() -> None:
    assert proxies.masked("https://user:pass@proxy.example:8080") == "https://…@proxy.example:8080"
    assert proxies.masked("http://[2001:db8::1]:80") == "http://[2001:db8::1]:80"
    assert "s3cret" not in repr(Proxy("http://a:s3cret@b"))
