"""The colours can be read, light and dark, and both darks are the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import floway.console

CSS = (Path(floway.console.__file__).parent / "static/console/console.css").read_text()
BLOCKS = [dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r"\{([^{}]*--primary:[^{}]*)\}", CSS)]
PAIRS = [
    ("--body-fg", "--body-bg"),
    ("--body-quiet-color", "--darkened-bg"),
    ("--link-fg", "--body-bg"),
    ("--link-fg", "--selected-row"),
    ("--header-color", "--header-bg"),
    ("--breadcrumbs-fg", "--breadcrumbs-bg"),
    ("--breadcrumbs-link-fg", "--breadcrumbs-bg"),
    ("--body-fg", "--selected-bg"),
    *((f"--{tone}-fg", f"--{tone}-bg") for tone in ("ok", "warn", "bad", "off", "busy")),
]
GRAPHICS = [("--waiting", "--body-bg"), ("--output", "--body-bg"), ("--line", "--body-bg"), ("--dot", "--body-bg")]
WHITE_ON = ["--button-bg", "--default-button-bg", "--object-tools-bg", "--button-hover-bg", "--object-tools-hover-bg"]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_dark_is_said_twice_and_alike() -> None:
    light, media, chosen = BLOCKS
    assert media == chosen
    assert set(light) == set(media)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_people_need(theme: int) -> None:
    colours = BLOCKS[theme]
    found = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in PAIRS}
    found |= {("white", name): contrast("#ffffff", colours[name]) for name in WHITE_ON}
    assert not {pair: ratio for pair, ratio in found.items() if ratio < 4.5}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_lines_and_bars_stand_out_from_what_is_behind_them(theme: int) -> None:
    found = {pair: contrast(BLOCKS[theme][pair[0]], BLOCKS[theme][pair[1]]) for pair in GRAPHICS}
    assert not {pair: ratio for pair, ratio in found.items() if ratio < 3}
