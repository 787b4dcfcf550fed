"""Makes a gateway's database: migrated, with a login that nobody has, a key and, if asked, many rows. Prints the key last.

It runs in a process of its own with the gateway's environment, because Django is set up once.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import tempfile

from bench.upstream import ACCOUNT_ID

_FAR = 4_000_000_000


def main() -> None:
    """Prepare as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshots", type=int, default=0, help="and as many exchanges, and ten times as many items")
    asked = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "floway.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    with tempfile.NamedTemporaryFile(suffix=".json") as login:
        login.write(_login())
        login.flush()
        call_command("import_credential", login.name, stdout=io.StringIO())
    issued = io.StringIO()
    call_command("issue_key", "bench", stdout=issued)
    if asked.snapshots:
        from bench.filling import fill

        fill(asked.snapshots)
    print(issued.getvalue().strip().splitlines()[-1])


def _token(claims: dict[str, object]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    coded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join((*coded, "bm9uZQ"))


def _login() -> bytes:
    """The file of a login that nobody has, good until 2096."""
    person = {
        "chatgpt_account_id": ACCOUNT_ID,
        "chatgpt_user_id": "user-bench",
        "user_id": "user-bench",
        "chatgpt_plan_type": "plus",
    }
    claims = {"iss": "https://auth.openai.com", "sub": "auth0|bench", "exp": _FAR, "https://api.openai.com/auth": person}
    tokens = {
        "id_token": _token({**claims, "email": "bench@example.com"}),
        "access_token": _token(claims),
        "refresh_token": "rt_bench",
        "account_id": ACCOUNT_ID,
    }
    return json.dumps({"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": None}).encode()


if __name__ == "__main__":
    main()
