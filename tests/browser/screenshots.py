"""`python -m tests.browser.screenshots`: the pages of `make demo`, light and dark, into docs/images."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.window import Browser, chromium

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
LARGEST = 60_000
_TALLEST = 1200
_LISTS = (("exchanges", "responses_app/exchange/"), ("audit", "accounts/auditentry/"))
_ROWS = (
    ("credential", "accounts/oauthcredential/"),
    ("key", "accounts/apikey/?q=shop"),
    ("exchange", "responses_app/exchange/?outcome=failed"),
)
_GREETING = re.compile(r"The admin: (\S+/admin/), user (\S+), password (\S+)")


def main() -> int:
    """Start the demo, sign in, look at every page. 1 if a picture is larger than it may be."""
    with tempfile.TemporaryDirectory() as scratch, _demo(Path(scratch)) as (admin, user, password):
        driver = chromium(Path(scratch) / "profile")
        try:
            _take(Browser(driver), admin, user, password)
        finally:
            driver.quit()
    large = [picture.name for picture in IMAGES.glob("*.webp") if picture.stat().st_size > LARGEST]
    print("\n".join(f"{name} is larger than {LARGEST} bytes" for name in large))
    return int(bool(large))


def _take(browser: Browser, admin: str, user: str, password: str) -> None:
    browser.go(admin)
    browser.fill(username=user, password=password)
    browser.press("Log in")
    browser.see("Requests, live")
    _keep(browser, "operations")
    for name, address in _LISTS:
        browser.go(admin + address)
        _keep(browser, name)
    for name, address in _ROWS:
        browser.go(admin + address)
        browser.find("#result_list tbody th a").click()
        browser.wait_for("document.readyState === 'complete' && location.pathname.endsWith('/change/')")
        _keep(browser, name)
    browser.find(".facts a[href*='/conversation/']").click()
    browser.wait_for("document.readyState === 'complete' && location.pathname.includes('/conversation/')")
    _keep(browser, "conversation")


def _keep(browser: Browser, name: str) -> None:
    browser.picture(name)
    browser.keep_picture(IMAGES, name, "webp", _TALLEST)


@contextmanager
def _demo(scratch: Path) -> Iterator[tuple[str, str, str]]:
    """A demo of its own, and how to get in."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWAY_") and name != "DATABASE_URL"}
    environment = {**kept, "FLOWAY_DATA_DIR": str(scratch / "data"), "FLOWAY_BIND": f"127.0.0.1:{port}"}
    command = [sys.executable, "manage.py", "demo"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        found = next((found for line in running.stdout if (found := _GREETING.search(line))), None)
        try:
            assert found, "the demo did not start"
            yield found[1], found[2], found[3]
        finally:
            running.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
