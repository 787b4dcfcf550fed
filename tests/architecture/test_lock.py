"""What is installed is what is asked for, each package by its hash."""

from __future__ import annotations

import re

from tests.architecture.test_boundaries import ROOT

PIN = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", re.MULTILINE)


def test_every_pin_stands_in_the_lock_with_a_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = dict(PIN.findall(lock))
    asked = dict(PIN.findall((ROOT / "requirements.txt").read_text()))
    assert asked == {name: locked.get(name) for name in asked}, "run `make lock`"
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\w)", lock))
