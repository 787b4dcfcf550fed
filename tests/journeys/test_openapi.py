"""The description of the callers' API: it tells of every door and parameter, is well-formed, and stands on a page."""

from __future__ import annotations

import re
from typing import Any, cast

from django.urls import get_resolver

from responses_app import openapi
from responses_app.openapi.schemas import PARAMETERS
from responses_app.urls import urlpatterns
from tests.conftest import Gateway
from tests.fakes.served import ROOT

_METHODS = {"get", "post", "put", "patch", "delete"}


def test_it_names_every_route_and_method_that_is_served() -> None:
    served = {
        (re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{route.pattern}"), method)
        for route in urlpatterns
        for method in _METHODS
        if hasattr(cast(Any, route.callback).view_class, method)
    }
    told = {(path, method) for path, item in openapi.document()["paths"].items() for method in item.keys() & _METHODS}
    assert told == served
    assert get_resolver().resolve("/openapi.json").url_name == "openapi"


def test_it_names_every_parameter_that_the_docs_do() -> None:
    table = re.findall(r"^\| `(\w+)` \| ", (ROOT / "docs/parameters.md").read_text(), re.MULTILINE)
    assert sorted(PARAMETERS) == sorted(table)


def test_every_reference_in_it_leads_somewhere() -> None:
    document = openapi.document()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [found for inner in value for found in references(inner)] if isinstance(value, list) else []

    named = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert named == set(document["components"]["schemas"])


def test_it_is_served_and_browsed_without_a_key_and_with_nothing_from_elsewhere(gateway: Gateway) -> None:
    assert gateway.get("/openapi.json", authorization="").json["openapi"] == "3.1.0"
    page = gateway.get("/docs", authorization="")
    assert page.status == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for asset in re.findall(r'(?:<script src|<link [^>]*href)="([^"]+)"', page.body.decode()):
        assert asset.startswith("/static/")
        assert gateway.get(asset).status == 200
