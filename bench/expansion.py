"""How long it takes to expand a stored conversation, decryption included. Prints one JSON line.

It runs in a process and on a database of its own, with the gateway's environment, and asks the gateway's own function.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import Any

ITEMS = 1_000
ITEM_BYTES = 1_000
_RUNS = 30
_FORKS = 100
_PER_TURN = 2


def main() -> None:
    """Bring the database up to date, fill it, expand."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "floway.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    straight, forked = _timed(_stored(forks=1)), _timed(_stored(forks=_FORKS))
    print(json.dumps({"items": ITEMS, "item_bytes": ITEM_BYTES, "straight_ms": straight, "forked_ms": forked, "forks": _FORKS}))


def _item(number: int) -> dict[str, Any]:
    """An item whose JSON is `ITEM_BYTES` long."""
    item: dict[str, Any] = {"type": "message", "role": "user", "content": f"{number:06d} "}
    missing = ITEM_BYTES - len(json.dumps(item, separators=(",", ":")))
    return {**item, "content": item["content"] + (os.urandom(missing // 2 + 1).hex())[:missing]}


def _stored(*, forks: int) -> Any:
    """A snapshot of a stored conversation whose turns lie in `forks` segments, one upon the other."""
    from django.db import transaction

    from accounts.models import ApiKey
    from responses_app import content
    from responses_app.models import Conversation, Snapshot

    key = ApiKey.objects.create(name="bench", provider="codex")
    conversation = Conversation.objects.create(api_key=key, provider="codex", scope_digest=os.urandom(32))
    place = content.origin(conversation.pk, stored=True)
    with transaction.atomic():
        for turn in range(ITEMS // _PER_TURN):
            items = [_item(turn * _PER_TURN + offset) for offset in range(_PER_TURN)]
            branch = place
            place = content.extend(conversation.pk, place, items, stored=True, issuer=None)
            if forks > 1 and turn % (ITEMS // _PER_TURN // forks) == 0 and branch.segment_id is not None:
                # The same point again, after somebody went on from it: a segment of its own.
                place = content.extend(conversation.pk, branch, items, stored=True, issuer=None)
    assert place.segment_id is not None
    return Snapshot(conversation=conversation, segment_id=place.segment_id, length=place.length, chain=place.chain)


def _timed(snapshot: Any) -> dict[str, float]:
    """Median and worst of the runs, and what each took of the processor, in milliseconds, the first one not counted."""
    from responses_app import content

    took, spent = [], time.process_time()
    for _ in range(_RUNS + 1):
        began = time.perf_counter()
        items = content.expand(snapshot)
        took.append((time.perf_counter() - began) * 1000)
        if len(items) != ITEMS:
            raise AssertionError(f"{len(items)} items instead of {ITEMS}")
    cpu = (time.process_time() - spent) * 1000 / (_RUNS + 1)
    return {"cpu": round(cpu, 2), "p50": round(statistics.median(took[1:]), 2), "worst": round(max(took[1:]), 2)}


if __name__ == "__main__":
    main()
