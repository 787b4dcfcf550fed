"""Where the API is found, its description, and the page to browse it."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from floway.console.api import accounts, history, operations
from floway.console.api.described import Description, Docs

router = SimpleRouter(trailing_slash=False)
router.register("credentials", accounts.Credentials, "api-credential")
router.register("keys", accounts.Keys, "api-key")
router.register("conversations", history.Conversations, "api-conversation")
router.register("snapshots", history.Snapshots, "api-snapshot")
router.register("exchanges", history.Exchanges, "api-exchange")
router.register("workers", operations.Workers, "api-worker")
router.register("audit", operations.Audit, "api-audit")

described: list[URLPattern | URLResolver] = [
    path("usage", operations.Usage.as_view(), name="api-usage"),
    path("operations", operations.Operations.as_view(), name="api-operations"),
    path("", include(router.urls)),
]

urlpatterns = [
    *described,
    path("schema", Description.as_view(patterns=[path("api/", include(described))]), name="api-schema"),
    path("docs", admin.site.admin_view(Docs.as_view(url_name="api-schema", title="Floway for automation")), name="api-docs"),
]
