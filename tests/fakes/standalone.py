"""Run as a program: the gateway with the Echo provider alone; prints what it answered as JSON.

The real provider's package cannot be imported here, whoever tries.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Start, migrate, import, issue, ask."""
    sys.modules["floway.providers.codex"] = None  # type: ignore[assignment] # makes its import fail
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.fakes.standalone_settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("check", stdout=sys.stderr)
    call_command("migrate", verbosity=0, interactive=False)
    from accounts.importing import import_credential
    from accounts.keys import issue
    from tests.fakes.caller import Caller

    import_credential(json.dumps({"name": "nobody"}))
    json.dump(answers(Caller("", issue("test").secret)), sys.stdout)


def answers(caller: Any) -> dict[str, Any]:
    """What the gateway says to a few requests."""
    from floway.wsgi import application
    from tests.fakes.door import Door

    door = Door(application)
    caller.url = door.url
    first = caller.say("hello")
    second = caller.say("again", previous=first.json.get("id"), user="somebody")
    with caller.stream({"model": "echo", "input": "streamed"}) as stream:
        events = list(stream.events())
    models = caller.get("/v1/models").json
    door.close()
    return {"first": first.json, "second": second.json, "told": second.headers, "events": events, "models": models}


if __name__ == "__main__":
    main()
