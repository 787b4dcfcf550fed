"""Tab through a page: which controls are never reached, and which do not show that they have the focus."""

from __future__ import annotations

from tests.browser.window import Browser

_LISTEN = """
const look = (element) => [element, element.parentElement].map((one) => getComputedStyle(one)).map((style) =>
  [style.outlineStyle, style.outlineWidth, style.boxShadow, style.borderColor, style.textDecorationLine,
   style.backgroundColor, style.color].join()).join();
const all = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";
const seen = (element) => element.checkVisibility({visibilityProperty: true}) && element.tabIndex >= 0 && !element.disabled;
const first = (element) => element.type === "radio" ? document.getElementsByName(element.name)[0] : element;
document.activeElement.blur();
const controls = [...new Set([...document.querySelectorAll(all)].filter(seen).map(first))];
const plain = new Map(controls.map((element) => [element, look(element)]));
window.missed = new Set(controls);
window.unseen = new Set();
document.addEventListener("focusin", (event) => {
  const element = first(event.target);
  window.missed.delete(element);
  // A part of a control, such as the hours of a time, shows its focus by itself.
  if (plain.has(element) && element === event.target && look(element) === plain.get(element)) window.unseen.add(element);
});
return controls.length;
"""
_RESULT = """
const told = (words, elements) => [...elements].map((element) => `${words}: ${element.outerHTML.slice(0, 120)}`);
return [...told("never reached", window.missed), ...told("does not show its focus", window.unseen)];
"""
_LEFT = "return window.missed.size;"
_TAB = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
_PARTS = 40


def tab(browser: Browser) -> None:
    """Press the key once."""
    browser.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "rawKeyDown", **_TAB})


def unreachable(browser: Browser) -> list[str]:
    """What the keyboard misses on this page, from its top to its bottom."""
    for _ in range(browser.driver.execute_script(_LISTEN)):
        tab(browser)
    for _ in range(_PARTS):  # a field for a moment has several stops
        if not browser.driver.execute_script(_LEFT):
            break
        tab(browser)
    return list(browser.driver.execute_script(_RESULT))
