"""The pages of the pool: its policy, and what a credential has left, rests for, and goes through."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

from accounts import cooling, proxies, quota
from accounts.forms import ProxyForm, provider_label
from accounts.models import OAuthCredential, Pool, QuotaSample
from accounts.pages import Act, AnyModelAdmin, LastingAdmin, address, change_url, changeable, confirmation, page, route
from floway import markup
from floway.providers import registry
from floway.providers.contract import UpstreamUnreachable
from floway.wire.errors import ApiError

CHECK = Act(
    "check",
    "Check now",
    (
        "Its provider is asked what the login has left. No turn is taken and nothing is used up.",
        "If its access token has run out it is refreshed first.",
    ),
    destructive=False,
)
CLEAR = Act(
    "clear",
    "Clear cool-down",
    (
        "New requests may use it from now on, as if no limit had been met.",
        "If the limit still stands, the first of them finds out, is answered 429, and the cool-down begins anew.",
    ),
    destructive=False,
)
_SHOWN_HISTORY = timedelta(hours=24)
_BARS = "▁▂▃▄▅▆▇█"


class PoolPages(AnyModelAdmin):
    """Adds to the admin of credentials what they need as members of a pool."""

    def get_urls(self) -> list[URLPattern]:
        """With these pages before the admin's own."""
        proxy = self.admin_site.admin_view(self.proxy_view)
        return [
            route(self, CHECK, self.check_view),
            route(self, CLEAR, self.clear_view),
            path("<path:object_id>/proxy/", proxy, name=address(self.model, "proxy")),
            *super().get_urls(),
        ]

    def check_view(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        """Ask for its allowances now, asked first."""
        credential = changeable(self, request, object_id)
        if request.method != "POST":
            return confirmation(self, request, credential, act)
        try:
            windows = quota.check(OAuthCredential.objects.select_related("tokens", "proxy").get(pk=credential.pk))
        except (ApiError, UpstreamUnreachable, OAuthCredential.tokens.RelatedObjectDoesNotExist) as error:
            self.log_change(request, credential, "Checked: no answer.")
            self.message_user(request, f"{markup.clean(credential)}: no answer ({markup.clean(error)}).", messages.ERROR)
        else:
            self.log_change(request, credential, "Checked.")
            told = f"{len(windows)} allowances told" if windows else "nothing told"
            self.message_user(request, f"{markup.clean(credential)}: {told}.", messages.SUCCESS)
        return HttpResponseRedirect(change_url(credential))

    def clear_view(self, request: HttpRequest, object_id: str, act: Act) -> HttpResponse:
        """End its cool-down, asked first."""
        credential = changeable(self, request, object_id)
        if request.method != "POST":
            return confirmation(self, request, credential, act)
        if cooling.clear(credential.pk):
            self.log_change(request, credential, "Cool-down cleared.")
            self.message_user(request, f"{markup.clean(credential)}: cool-down cleared.", messages.SUCCESS)
        else:
            self.message_user(request, f"{markup.clean(credential)}: there was no cool-down.", messages.INFO)
        return HttpResponseRedirect(change_url(credential))

    @method_decorator(sensitive_post_parameters("url"))
    def proxy_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Set or take away its proxy; the URL is never shown again."""
        credential = changeable(self, request, object_id)
        form = ProxyForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            url = form.cleaned_data["url"]
            proxies.keep(credential, url)
            done = "Proxy set." if url else "Proxy taken away."
            self.log_change(request, credential, done)
            self.message_user(request, f"{markup.clean(credential)}: {done}", messages.SUCCESS)
            return HttpResponseRedirect(change_url(credential))
        return page(self, request, "console/proxy.html", f"Proxy of {credential}", form=form, row=credential)

    @admin.display(description="goes through")
    def egress(self, credential: OAuthCredential) -> SafeString:
        """Its proxy, without what is secret in it."""
        proxy = getattr(credential, "proxy", None)
        return format_html("<code>{}</code>", markup.clean(proxy.shown)) if proxy else SafeString("no proxy")

    @admin.display(description="last 24 hours")
    def quota_history(self, credential: OAuthCredential) -> SafeString:
        """One bar for each hour and window, as high as it was used."""
        since = timezone.now() - _SHOWN_HISTORY
        series: dict[str, dict[datetime, float]] = {}
        for sample in QuotaSample.objects.filter(credential=credential, slot__gte=since).order_by("limit", "window", "slot"):
            hour = sample.slot.replace(minute=0)
            series.setdefault(f"{sample.limit} {sample.window}", {})[hour] = sample.used_percent
        lines = ((markup.clean(name), _bars(hours, since), f"{max(hours.values()):.0f}") for name, hours in series.items())
        rows = format_html_join(
            "", '<li><span class="name">{}</span> <span class="spark">{}</span> <small>at most {}\u202f%</small></li>', lines
        )
        return format_html('<ul class="meters">{}</ul>', rows) if rows else markup.NOTHING


def _bars(hours: dict[datetime, float], since: datetime) -> str:
    first = since.replace(minute=0, second=0, microsecond=0)
    told = (hours.get(first + timedelta(hours=n)) for n in range(25))
    return "".join("·" if used is None else _BARS[min(int(used / 100 * 8), 7)] for used in told)


@admin.register(Pool)
class PoolAdmin(LastingAdmin):
    """One pool a provider: which credential begins, and whether a usage limit is reason to move on."""

    list_display = ("provider_name", "policy", "moves_on_usage_limit", "members")
    fields = ("provider_name", "policy", "moves_on_usage_limit")
    readonly_fields = ("provider_name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one for each provider anyway."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Every configured provider has one, from the first look on."""
        made = [Pool(provider=slug) for slug in registry.slugs()]
        Pool.objects.bulk_create(made, ignore_conflicts=True)
        return super().changelist_view(request, extra_context)

    @admin.display(description="provider", ordering="provider")
    def provider_name(self, pool: Pool) -> str:
        """As people call it."""
        return provider_label(pool.provider)

    @admin.display(description="credentials")
    def members(self, pool: Pool) -> int:
        """How many logins it has that stand."""
        return OAuthCredential.objects.refreshable().of_provider(pool.provider).count()
