"""Responses as they were answered, at rest: all of an object but the items that its conversation holds anyway."""

from __future__ import annotations

from collections.abc import Sequence

from floway.sealing import seal_content, unseal_content
from floway.wire.json import JSON, JSONObject, dumps, loads
from responses_app import content
from responses_app.models import Snapshot

PURPOSE = "answer"


def owner_of(response_id: str) -> str:
    """Whose an envelope is."""
    return response_id


def sealed(response_id: str, response: JSONObject, items: Sequence[JSON], continued: int) -> bytes:
    """What to keep of a response beside its snapshot's items.

    :param items: the turn's whole input. :param continued: how many of them it continued.
    """
    output = response["output"]
    kept: dict[str, JSON] = {"response": {key: value for key, value in response.items() if key != "output"}}
    if not content.compacts(output):
        kept["output"] = len(output)
    else:
        # The snapshot holds what the conversation was compacted to; what it was made of stands nowhere else.
        kept |= {"output": output, "input": list(items[continued:])}
    return seal_content(dumps(kept), purpose=PURPOSE, owner=owner_of(response_id))


def response_of(snapshot: Snapshot) -> JSONObject:
    """The Response object of a snapshot that has an answer.

    :raises floway.sealing.CannotUnseal: it is damaged.
    """
    kept = _kept(snapshot)
    output = kept["output"]
    if isinstance(output, int):
        output = content.expand(snapshot, since=snapshot.length - output)
    return {**kept["response"], "output": output}


def input_of(snapshot: Snapshot) -> list[JSON]:
    """The items that a snapshot's response was made of, what it continued included.

    :raises floway.sealing.CannotUnseal: one is damaged.
    """
    kept = _kept(snapshot)
    if isinstance(kept["output"], int):
        return content.expand(snapshot)[: snapshot.length - kept["output"]]
    before = content.expand(snapshot.parent) if snapshot.parent is not None else []
    return [*before, *kept["input"]]


def _kept(snapshot: Snapshot) -> dict[str, JSON]:
    kept: dict[str, JSON] = loads(unseal_content(snapshot.answer or b"", purpose=PURPOSE, owner=owner_of(snapshot.response_id)))
    return kept
