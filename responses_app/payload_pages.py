"""What was captured of an exchange, for those who may read content: a page of its own, and a file to take away."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from accounts import audit
from accounts.pages import address, page
from floway import markup
from floway.sealing import CannotUnseal
from floway.wire.json import InvalidJSON, loads
from responses_app import capturing, reading
from responses_app.capturing import Shown
from responses_app.history import HistoryAdmin
from responses_app.models import Exchange, Payload

_EXCERPT = 4_000


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part as the page shows it: the file has all of it."""

    part: Shown
    head: str
    text: str
    is_whole: bool


class PayloadPages(HistoryAdmin):
    """Adds the payload's pages to the admin of exchanges. Who looked is noted."""

    def get_urls(self) -> list[URLPattern]:
        """With the payload's before the admin's own."""
        views = (("payload", self.payload_view), ("payload_file", self.payload_file_view))
        ours = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=address(self.model, name))
            for name, view in views
        ]
        return [*ours, *super().get_urls()]

    def payload_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The beginning of each part."""
        exchange, parts = self._captured(request, object_id, "payload read")
        shown = None if parts is None else [_excerpt(part) for part in parts]
        title = f"Payload of exchange {exchange.pk}"
        return page(
            self, request, "console/payload.html", title, exchange=exchange, parts=shown, largest=capturing.LARGEST_PART
        )

    def payload_file_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """All that was kept, as a JSON document."""
        exchange, parts = self._captured(request, object_id, "payload downloaded")
        if parts is None:
            raise Http404
        document = {"request_id": exchange.request_id, "parts": [asdict(part) for part in parts]}
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="payload-{exchange.pk}.json"',
        }
        return HttpResponse(json.dumps(document, indent=1), content_type="application/json", headers=headers)

    def _captured(self, request: HttpRequest, object_id: str, told: str) -> tuple[Exchange, list[Shown] | None]:
        """The exchange and its parts, None where they can't be unsealed.

        :raises PermissionDenied: this person may not read content. :raises Http404: nothing was captured, or it is gone.
        """
        if not reading.may_read(request):
            raise PermissionDenied
        exchange: Any = self.get_object(request, object_id)
        payload = None if exchange is None else Payload.objects.filter(pk=exchange.pk).first()
        if exchange is None or payload is None:
            raise Http404
        audit.record(told, exchange)
        try:
            return exchange, capturing.parts_of(payload)
        except CannotUnseal:
            return exchange, None


def _excerpt(part: Shown) -> Excerpt:
    try:
        text = json.dumps(loads(part.text.encode()), indent=2, ensure_ascii=False)
    except InvalidJSON:
        text = part.text
    return Excerpt(
        part, markup.clean("\n".join(part.head)), markup.clean(text[:_EXCERPT]), len(text) <= _EXCERPT and not part.cut
    )
