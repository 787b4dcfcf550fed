"""Who is speaking: an official client that stays as it is, or the gateway for somebody else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from floway.providers.codex.protocol import constants as names
from floway.providers.codex.protocol.profiles import Profile, profile_of_client
from floway.wire.headers import Headers

# The originators of the official clients: command line, terminal, their common default, editor, SDK.
OFFICIAL_ORIGINATORS = frozenset({"codex_exec", "codex-tui", "codex_cli_rs", "codex_vscode", "codex_sdk_ts"})
_LONGEST_USER_AGENT = 512
_VERSION = re.compile(r"/([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,6}(?:-[0-9A-Za-z.]{1,32})?)(?= |$)")
_FEATURES = re.compile(r"[a-z0-9_]{1,64}(?:, ?[a-z0-9_]{1,64}){0,31}")


@dataclass(frozen=True, slots=True)
class Host:
    """The gateway's machine, as far as a user agent tells: `Debian 12.0.0`, `x86_64`."""

    system: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a request says about the program that sends it."""

    profile: Profile
    originator: str
    user_agent: str
    version: str
    beta_features: str | None
    official: bool


def gateway(profile: Profile, host: Host) -> Speaker:
    """The gateway speaking for a caller of no dialect: the profile's, on the gateway's machine, at no terminal."""
    user_agent = f"{short_user_agent(profile, host)} ({profile.originator}; {profile.version})"
    return Speaker(profile, profile.originator, user_agent, profile.version, profile.beta_features, official=False)


def short_user_agent(profile: Profile, host: Host) -> str:
    """The user agent of requests that no client has been named for yet."""
    return f"{profile.originator}/{profile.version} ({host.system}; {host.architecture}) unknown"


def official(headers: Headers) -> Speaker | None:
    """The official client that the headers show, or None: its originator is known, and its user agent begins with it."""
    originator, user_agent = headers.get(names.ORIGINATOR), headers.get(names.USER_AGENT)
    if originator not in OFFICIAL_ORIGINATORS or user_agent is None or not user_agent.startswith(originator):
        return None
    version = _VERSION.match(user_agent, len(originator))
    if version is None or len(user_agent) > _LONGEST_USER_AGENT or not (user_agent.isascii() and user_agent.isprintable()):
        return None
    features = headers.get(names.BETA_FEATURES)
    kept = features if features is not None and _FEATURES.fullmatch(features) else None
    return Speaker(profile_of_client(version[1]), originator, user_agent, version[1], kept, official=True)
