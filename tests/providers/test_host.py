"""How the gateway's machine is called in a user agent."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from floway.providers.codex import host
from floway.providers.codex.protocol.dialect import Host


@pytest.mark.parametrize(
    ("system", "release", "machine", "expected"),
    [
        ("Linux", {"ID": "debian", "NAME": "Debian GNU/Linux", "VERSION_ID": "12"}, "x86_64", Host("Debian 12.0.0", "x86_64")),
        ("Linux", {"ID": "ubuntu", "NAME": "Ubuntu", "VERSION_ID": "24.04"}, "aarch64", Host("Ubuntu 24.4.0", "aarch64")),
        ("Linux", {"ID": "odd", "NAME": "Odd (Linux);\n"}, "riscv64", Host("Odd Linux Unknown", "riscv64")),
        ("Linux", None, "", Host("Linux Unknown", "unknown")),
        ("Darwin", None, "arm64", Host("Mac OS 15.1.0", "arm64")),
        ("Windows", None, "AMD64", Host("Windows 10.0.22631", "x86_64")),
        ("FreeBSD", None, "amd64", Host("FreeBSD 14.1.0", "amd64")),
    ],
)
def test_a_machine_is_called_as_the_official_client_would(
    system: str, release: Any, machine: str, expected: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def os_release() -> dict[str, str]:
        if release is None:
            raise OSError
        return dict(release)

    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "release", lambda: "14.1-RELEASE")
    monkeypatch.setattr(platform, "version", lambda: "10.0.22631")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(platform, "freedesktop_os_release", os_release)
    assert host.facts() == expected
