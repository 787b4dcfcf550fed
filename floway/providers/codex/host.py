"""The gateway's machine in the words of a user agent: `Debian 12.0.0` on `x86_64`."""

from __future__ import annotations

import platform
import re

from floway.providers.codex.protocol.dialect import Host

# The official client's names for systems; others go by their own `NAME`.
_SYSTEMS = {
    "alpine": "Alpine Linux",
    "amzn": "Amazon Linux AMI",
    "arch": "Arch Linux",
    "debian": "Debian",
    "fedora": "Fedora",
    "rhel": "Red Hat Enterprise Linux",
    "ubuntu": "Ubuntu",
}
_ARCHITECTURES = {"AMD64": "x86_64", "ARM64": "arm64"}
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]|[();]")


def facts() -> Host:
    """What this machine is. Reads /etc/os-release on Linux."""
    machine = platform.machine()
    return Host(_clean(f"{_name()} {_version(_release())}"), _clean(_ARCHITECTURES.get(machine, machine) or "unknown"))


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _name() -> str:
    match platform.system():
        case "Darwin":
            return "Mac OS"
        case "Linux":
            release = _os_release()
            return _SYSTEMS.get(release.get("ID", ""), release.get("NAME") or "Linux")
        case other:
            return other or "Unknown"


def _release() -> str:
    match platform.system():
        case "Darwin":
            return platform.mac_ver()[0]
        case "Linux":
            return _os_release().get("VERSION_ID", "")
        case "Windows":
            return platform.version()
        case _:
            return platform.release()


def _version(text: str) -> str:
    """`12` → `12.0.0`, `24.04` → `24.4.0`: three numbers, as the official client writes versions."""
    numbers = [int(part) for part in re.findall(r"[0-9]{1,9}", text)[:3]]
    return ".".join(str(part) for part in [*numbers, 0, 0, 0][:3]) if numbers else "Unknown"


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("", text)[:64]
