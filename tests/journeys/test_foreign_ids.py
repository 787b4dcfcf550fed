"""Every door that takes an id: another key's object is answered exactly like one that never was."""

from __future__ import annotations

from typing import Any

import pytest

from responses_app import openapi
from tests.conftest import Gateway
from tests.fakes.factories import make_key

_BODIES: dict[str, Any] = {"/conversations/{conversation_id}/items": {"items": [{"role": "user", "content": "x"}]}}
DOORS = [
    (method.upper(), path)
    for path, item in openapi.document()["paths"].items()
    if path.startswith(("/responses/{", "/conversations/{"))
    for method in ("get", "post", "delete")
    if method in item
]


@pytest.fixture
def objects(gateway: Gateway) -> dict[str, list[str]]:
    """By the placeholder of a path, ids of this gateway's objects."""
    conversation = gateway.post({"items": [{"role": "user", "content": "one"}]}, "/v1/conversations").json["id"]
    item = gateway.get(f"/v1/conversations/{conversation}/items").json["data"][0]["id"]
    background = gateway.say("hello", background=True).json["id"]
    assert gateway.door is not None
    gateway.door.settle()
    return {"response_id": [gateway.say("hello").json["id"], background], "conversation_id": [conversation], "item_id": [item]}


def test_a_foreign_id_is_answered_like_an_unknown_one(gateway: Gateway, objects: dict[str, list[str]]) -> None:
    other = gateway.caller(make_key("other").secret)
    assert len(DOORS) == 11
    for method, path in DOORS:
        kind = "response_id" if "{response_id}" in path else "conversation_id"
        for own in objects[kind]:
            unknown = own.partition("_")[0] + "_" + "0" * 48
            said = [_asked(other, method, path, {kind: name, "item_id": objects["item_id"][0]}) for name in (own, unknown)]
            (status, error), (status_of_unknown, error_of_unknown) = said
            assert status == status_of_unknown == 404, (method, path)
            assert {**error, "message": error["message"].replace(own, unknown)} == error_of_unknown, (method, path)
            assert own in error["message"]


def _asked(caller: Any, method: str, path: str, names: dict[str, str]) -> tuple[int, Any]:
    url = "/v1" + path.format(**names)
    body = _BODIES.get(path, {"metadata": {}}) if method == "POST" else None
    reply = caller.post(body, url) if body else caller.send(method, url, None, caller.headers({}))
    return reply.status, reply.error
