"""The page that gives a login out for a backup, to somebody who has just said their password again."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from accounts import proof
from accounts.exporting import export_credential
from accounts.models import CredentialTokens, OAuthCredential
from accounts.pages import AnyModelAdmin, address, changeable, page
from floway import markup
from floway.sealing import CannotUnseal
from floway.wire.json import dumps

_REFUSED = "Export refused: wrong password."


class ExportPages(AnyModelAdmin):
    """Adds the export to the admin of credentials."""

    def get_urls(self) -> list[URLPattern]:
        """With the export's page before the admin's own."""
        view = self.admin_site.admin_view(self.export_view)
        return [path("<path:object_id>/export/", view, name=address(self.model, "export")), *super().get_urls()]

    def has_export_permission(self, request: HttpRequest) -> bool:
        """A permission of its own: whoever has the tokens has the login."""
        return bool(request.user.has_perm("accounts.export_oauthcredential"))

    @method_decorator(sensitive_post_parameters("password", "code"))
    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the password, then answer with the document itself."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        credential = changeable(self, request, object_id)
        form = proof.proves(request)
        if request.method == "POST" and self._is_owner(request, credential, form):
            try:
                document = dumps(export_credential(credential))
            except (CannotUnseal, CredentialTokens.DoesNotExist):
                form.add_error(None, "It has no tokens that can be read.")
            else:
                self.log_change(request, credential, "Exported with its tokens.")
                return _download(document)
        return page(self, request, "console/export.html", f"Export {markup.clean(credential)}", form=form, row=credential)

    def _is_owner(self, request: HttpRequest, credential: OAuthCredential, form: proof.ProofForm) -> bool:
        if proof.accepted(form):
            return True
        if form.wrong:
            self.log_change(request, credential, _REFUSED)
        return False


def _download(document: bytes) -> HttpResponse:
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="auth.json"'}
    return HttpResponse(document, content_type="application/json", headers=headers)
