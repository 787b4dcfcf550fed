"""`manage.py codex_parity [CAPTURE…] [--against DIR]`: what the gateway would send in the official client's place."""

from __future__ import annotations

import json
import secrets
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from floway.providers.codex import parity
from floway.providers.codex.intended import Verdict
from floway.providers.codex.parity import Capture, Finding, NotACapture
from floway.providers.codex.provider import CodexProvider
from floway.providers.contract import Account, ProviderRefused

_OWN_CAPTURES = settings.BASE_DIR / "tests" / "golden"
_TWINS = "twins.json"
# Nobody's: a replay is never sent.
_ACCOUNT = Account(
    credential_id=0,
    account_id="00000000-0000-4000-8000-000000000000",
    user_id="user-of-a-replay",
    email="nobody@example.com",
    plan="",
    device_id="00000000-0000-4000-8000-000000000001",
    access_token="replayed.never.sent",  # noqa: S106 - no token
)


class Command(BaseCommand):
    """See the module."""

    help = (
        "Replay captures of the official client through the provider, and report every field of what the gateway would send: "
        "equal, different, missing or extra. Ends with status 1 where a difference is not an intended one. "
        "-v 2 also lists what is equal."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Captures, and what to compare them with."""
        parser.add_argument(
            "captures",
            metavar="CAPTURE",
            nargs="*",
            type=Path,
            help="a JSON file with method, path, headers and body, or a directory of such; default: those of the tests",
        )
        parser.add_argument(
            "--against",
            metavar="DIR",
            type=Path,
            help=f"where the requests stand that the official client sends in their place: {_TWINS} there says which, else "
            "the file of the same name; what has no such twin is compared with itself",
        )
        parser.add_argument("--profile", help="for callers that are no official client; default: the configured one")

    def handle(self, *args: Any, captures: list[Path], against: Path | None, **options: Any) -> None:
        """Replay, report, and say by the exit status whether all is explained."""
        if not captures:
            captures, against = [_OWN_CAPTURES], against or _OWN_CAPTURES
        provider = _provider(options["profile"])
        total: Counter[str] = Counter()
        for path in _files(captures):
            try:
                came = _read(path)
            except NotACapture as error:
                self._passed_over(path, error)
                continue
            expected = _expected(came, path, against)
            findings = _findings(provider, came, expected)
            self._report(came, expected, findings, everything=options["verbosity"] > 1)
            total.update(_count(findings))
            total["captures"] += 1
        if not total["captures"]:
            raise CommandError("There is no capture that can be replayed.")
        self.stdout.write(f"{total['captures']} captures: {_summary(total)}")
        if total["unexplained"]:
            raise CommandError(f"{total['unexplained']} differences are not explained.", returncode=1)

    def _passed_over(self, path: Path, error: NotACapture) -> None:
        if path.name != _TWINS:
            self.stderr.write(f"{path.name}: passed over: {error}")

    def _report(self, came: Capture, expected: Capture, findings: Sequence[Finding], *, everything: bool) -> None:
        twin = "itself" if expected is came else expected.name
        self.stdout.write(f"{came.name}\n  as {twin}: {_summary(_count(findings))}")
        for finding in findings:
            if everything or finding.verdict is not Verdict.EQUAL:
                self.stdout.write(f"  {_line(finding)}")


def _provider(profile: str | None) -> CodexProvider:
    options = settings.FLOWAY_PROVIDERS["codex"]["options"]
    try:
        return CodexProvider("codex", **(options if profile is None else {**options, "profile": profile}))
    except ValueError as error:
        raise CommandError(str(error)) from error


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.json")) if path.is_dir() else (path,)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CommandError(str(error)) from error
    except ValueError as error:
        raise NotACapture("not JSON") from error


def _read(path: Path) -> Capture:
    return parity.read_capture(path.stem, _json(path))


def _expected(came: Capture, path: Path, against: Path | None) -> Capture:
    """The request that the official client sends in this one's place, as far as there is one."""
    if against is None:
        return came
    twins = against / _TWINS
    pairs: Mapping[str, str] = _json(twins) if twins.exists() else {}
    twin = against / f"{pairs.get(came.name, came.name)}.json"
    if not twin.exists() or twin.resolve() == path.resolve():
        return came
    return _read(twin)


def _findings(provider: CodexProvider, came: Capture, expected: Capture) -> tuple[Finding, ...]:
    try:
        sent = parity.replay(provider, came, _ACCOUNT, datetime.now(UTC), secrets.token_bytes)
    except ProviderRefused as error:
        raise CommandError(f"{came.name}: the gateway would refuse it: {error.message}") from error
    return parity.compare(came, expected, sent)


def _count(findings: Sequence[Finding]) -> Counter[str]:
    counted = Counter(finding.verdict.value for finding in findings)
    counted["unexplained"] = sum(finding.unexplained for finding in findings)
    return counted


def _summary(counted: Counter[str]) -> str:
    return ", ".join(f"{counted[name]} {name}" for name in (*(verdict.value for verdict in Verdict), "unexplained"))


def _line(finding: Finding) -> str:
    verdict = "UNEXPLAINED" if finding.unexplained else finding.verdict.value
    values = " | ".join(value for value in (finding.expected, finding.sent) if value)
    reason = f"  ({finding.reason})" if finding.reason else ""
    return f"{verdict:<11} {finding.field}: {values}{reason}"
