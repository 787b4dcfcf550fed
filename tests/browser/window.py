"""A browser without a screen: what a person does in its window, and what it complains of."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

# Without these it looks for its maker's hosts at every start.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--window-size=1280,1000",
)
SCHEMES = ("light", "dark")
_SECONDS = 20
T = TypeVar("T")

for _name in ("selenium", "urllib3"):
    logging.getLogger(_name).setLevel(logging.INFO)


def chromium(profile: Path) -> webdriver.Chrome:
    """A started Chromium that keeps what it knows under `profile`."""
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("FLOWAY_TEST_CHROMIUM", "/usr/bin/chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, Service(os.environ.get("FLOWAY_TEST_CHROMEDRIVER", "/usr/bin/chromedriver")))


class Browser:
    """A window and what a person does in it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._pictures = os.environ.get("FLOWAY_TEST_PICTURES", "")
        self._ours: set[str] = set()

    def go(self, url: str) -> None:
        """Open an address of the gateway."""
        self._ours.add(urlsplit(url).netloc)
        self.driver.get(url)

    def see(self, text: str) -> None:
        """Wait until the page says so."""
        self._until(lambda driver: text in driver.find_element(By.TAG_NAME, "body").text, f"the page does not say {text!r}")

    def wait_for(self, expression: str) -> None:
        """Wait until this JavaScript is true."""
        self._until(lambda driver: driver.execute_script(f"return {expression}"), f"never true: {expression}")

    def find(self, selector: str) -> WebElement:
        """The first element that a CSS selector finds, as soon as it is there."""
        return self._until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector), f"there is no {selector}")

    def fill(self, **fields: str) -> None:
        """Type into the fields of these names."""
        for name, text in fields.items():
            field = self.find(f"[name='{name}']")
            field.clear()
            field.send_keys(text)

    def press(self, words: str) -> None:
        """Press the link or button that says so."""
        path = f"//a[normalize-space()='{words}'] | //button[normalize-space()='{words}'] | //input[@value='{words}']"
        self._until(lambda driver: driver.find_element(By.XPATH, path), f"there is no {words!r} to press").click()

    def other_tab(self) -> None:
        """Go on in the tab that was opened last."""
        self._until(lambda driver: len(driver.window_handles) > 1, "no tab was opened")
        self.driver.switch_to.window(self.driver.window_handles[-1])

    def first_tab(self) -> None:
        """Close this tab and go back to the first."""
        self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])

    def wait_for_address(self, beginning: str) -> str:
        """The address, once it begins so."""
        self._until(lambda driver: driver.current_url.startswith(beginning), f"the address does not begin with {beginning}")
        return self.driver.current_url

    def complaints(self) -> list[str]:
        """What the browser has said since the last time: broken policies, failed scripts, missing files of the gateway's pages.

        Pages of the provider's, where a sign-in leads, are not ours to mend.
        """
        said = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
        return [message for message in said if urlsplit(message.split(" ")[0]).netloc in {"", *self._ours}]

    def scheme(self, name: str) -> None:
        """Prefer light or dark; empty: neither."""
        features = [{"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features if name else []})

    def picture(self, name: str) -> None:
        """Keep the page as it looks, light and dark, where FLOWAY_TEST_PICTURES names a directory."""
        if self._pictures:
            self.keep_picture(Path(self._pictures), name, "png")

    def keep_picture(self, directory: Path, name: str, kind: str, tallest: int = 4000) -> None:
        """Keep the whole page, as wide as the window, as NAME-light and NAME-dark; `kind` is png or webp."""
        for scheme in SCHEMES:
            self.scheme(scheme)
            self.driver.execute_script("document.getAnimations().forEach((change) => change.finish())")
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], tallest), "scale": 1}
            asked = {"format": kind, "clip": clip, "captureBeyondViewport": True}
            shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {**asked, "quality": 28} if kind != "png" else asked)
            (directory / f"{name}-{scheme}.{kind}").write_bytes(base64.b64decode(shot["data"]))
        self.scheme("")

    def forget(self) -> None:
        """One empty tab, nobody signed in, nothing said."""
        for handle in self.driver.window_handles[1:]:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.scheme("")
        self.driver.get_log("browser")

    def _until(self, question: Callable[[webdriver.Chrome], T], else_says: str) -> T:
        # An element may be gone with its page between two looks.
        gone = [NoSuchElementException, StaleElementReferenceException]
        try:
            return WebDriverWait(self.driver, _SECONDS, 0.1, ignored_exceptions=gone).until(question)
        except TimeoutException:
            page = self.driver.find_element(By.TAG_NAME, "body").text
        raise AssertionError(f"{else_says}; at {self.driver.current_url}:\n{page[:2000]}")
