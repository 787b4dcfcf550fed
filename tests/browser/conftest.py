"""A browser without a screen, for the tests that need one to be sure."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
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
    "--window-size=1280,1000",
)
_SECONDS = 20
T = TypeVar("T")

logging.getLogger("selenium").setLevel(logging.INFO)


class Browser:
    """A window and what a person does in it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._pictures = os.environ.get("FLOWAY_TEST_PICTURES", "")

    def go(self, url: str) -> None:
        """Open an address."""
        self.driver.get(url)

    def see(self, text: str) -> None:
        """Wait until the page says so."""
        self._until(lambda driver: text in driver.find_element(By.TAG_NAME, "body").text, f"the page does not say {text!r}")

    def find(self, selector: str) -> WebElement:
        """The first element that a CSS selector finds, as soon as it is there."""
        return self._until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector), f"there is no {selector}")

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

    def _until(self, question: Callable[[webdriver.Chrome], T], else_says: str) -> T:
        # An element may be gone with its page between two looks.
        wait = WebDriverWait(self.driver, _SECONDS, ignored_exceptions=[NoSuchElementException, StaleElementReferenceException])
        return wait.until(question, else_says)

    def picture(self, name: str) -> None:
        """Keep the page as it looks, light and dark, where FLOWAY_TEST_PICTURES names a directory."""
        if not self._pictures:
            return
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            self.driver.save_screenshot(str(Path(self._pictures) / f"{name}-{scheme}.png"))
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("FLOWAY_TEST_CHROMIUM", "/usr/bin/chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(os.environ.get("FLOWAY_TEST_CHROMEDRIVER", "/usr/bin/chromedriver")))
    yield Browser(driver)
    driver.quit()
