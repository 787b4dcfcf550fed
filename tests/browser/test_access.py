"""Every page of the admin can be read and used by everybody: axe-core in both colour schemes, the keyboard, the skip link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.urls import reverse

from tests.browser import axe, keyboard

if TYPE_CHECKING:
    from tests.browser.window import Browser
    from tests.fakes.door import Door

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def furnished(door: Door, browser: Browser) -> Browser:
    """A gateway with rows of everything, and its owner in front of it, signed in."""
    from tests.console import people, rows

    rows.make_history(2)
    session = people.superuser().cookies[settings.SESSION_COOKIE_NAME].value
    browser.driver.execute_cdp_cmd(
        "Network.setCookie", {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": door.url}
    )
    return browser


def pages() -> list[str]:
    """One of each kind: rows of the same table have pages of the same make."""
    from tests.console.pages import all_pages

    kinds: dict[str, str] = {}
    for url in all_pages():
        kinds.setdefault("/".join(part for part in url.split("/") if not part.isdigit()), url)
    of_people = ["auth_user_changelist", "auth_user_add", "auth_group_changelist", "password_change", "second_factor"]
    return [*kinds.values(), *(reverse(f"admin:{name}") for name in of_people)]


def test_axe_finds_nothing_serious_on_any_page(furnished: Browser, door: Door) -> None:
    found = []
    for url in pages():
        furnished.go(door.url + url)
        found += [f"{url}: {wrong}" for wrong in axe.violations(furnished)]
    assert not found, "\n".join(found)


def test_the_pages_before_the_sign_in_are_no_worse(browser: Browser, door: Door) -> None:
    for url in (reverse("admin:first_owner"), reverse("admin:login")):
        browser.go(door.url + url)
        assert axe.violations(browser) == [], url


def test_everything_is_reached_with_the_tab_key_and_shows_its_focus(furnished: Browser, door: Door) -> None:
    found = []
    for url in pages():
        furnished.go(door.url + url)
        found += [f"{url}: {wrong}" for wrong in keyboard.unreachable(furnished)]
    assert not found, "\n".join(found)


def test_the_first_tab_leads_past_the_navigation(furnished: Browser, door: Door) -> None:
    furnished.go(door.url + reverse("admin:index"))
    keyboard.tab(furnished)
    link = furnished.driver.switch_to.active_element
    assert link.text == "Skip to main content"
    link.click()
    keyboard.tab(furnished)
    assert furnished.driver.execute_script("return document.activeElement.closest('#content-start') !== null")
