"""axe-core in a page: what keeps people from reading or using it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from tests.browser.window import Browser

_GRAVE = {"serious", "critical"}
_PLACE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """
const done = arguments[arguments.length - 1];
document.getAnimations().forEach((change) => change.finish()); // colours that are on their way
axe.run(document, arguments[0]).then((found) => done(found.violations), (error) => done([{id: String(error), nodes: []}]));
"""
_ALL: dict[str, Any] = {"resultTypes": ["violations"], "preload": False, "iframes": False}
_COLOURS: dict[str, Any] = {**_ALL, "runOnly": ["color-contrast", "link-in-text-block"]}


def violations(browser: Browser) -> list[str]:
    """What is serious or worse: everything in light colours, what has to do with colours in dark ones too; and complaints."""
    found = browser.complaints()
    browser.driver.execute_script(_source())
    for scheme, options in (("light", _ALL), ("dark", _COLOURS)):
        browser.scheme(scheme)
        for violation in browser.driver.execute_async_script(_RUN, options):
            if violation.get("impact", "critical") in _GRAVE:
                found += [_told(scheme, violation, node) for node in violation["nodes"]] or [violation["id"]]
    browser.scheme("")
    browser.driver.get_log("browser")  # axe's own styles break the policy
    return found


def _told(scheme: str, violation: dict[str, Any], node: dict[str, Any]) -> str:
    why = (node.get("any") or node.get("all") or node.get("none") or [{"message": ""}])[0]["message"]
    return f"{scheme}: {violation['id']}: {' '.join(map(str, node['target']))}: {node['html'][:120]}: {why}"


@cache
def _source() -> str:
    """Where npm has put it: `npm ci --prefix tests/browser`, or FLOWAY_TEST_AXE."""
    return Path(os.environ.get("FLOWAY_TEST_AXE", _PLACE)).read_text()
