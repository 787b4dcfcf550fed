"""One Chromium for all the tests that need a browser to be sure; any complaint of its fails the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver

from tests.browser.window import Browser, chromium


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with a profile of its own."""
    started = chromium(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()


@pytest.fixture
def browser(driver: webdriver.Chrome) -> Iterator[Browser]:
    """Its window, as new. Policies that a page breaks and errors in the browser's console fail the test."""
    window = Browser(driver)
    window.forget()
    yield window
    assert window.complaints() == []
