"""The last two runs of a history beside each other, figure by figure: `python -m bench.compare`. Status 1 if one got worse.

Figures in milliseconds follow the machine; those in `×` and `of nginx` are ratios within one run, and tell more.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.figures import markdown
from bench.run import HISTORY

_WORSE = 1.10


def main() -> int:
    """Compare as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("history", type=Path, nargs="?", default=HISTORY)
    runs = [json.loads(line) for line in parser.parse_args().history.read_text().splitlines() if line]
    if len(runs) < 2:
        print("There are no two runs to compare.")
        return 0
    old, new = runs[-2:]
    print(f"{old['at']} ({old['revision']}) against {new['at']} ({new['revision']})\n")
    lines = _lines(_figures(old), _figures(new))
    print(markdown(("measure", "database", "before", "now", "change", ""), lines))
    return 1 if any(line[-1] == "worse" for line in lines) else 0


def _figures(run: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["measure"], each["database"]): each for each in run["figures"]}


def _lines(old: dict[tuple[str, str], dict[str, Any]], new: dict[tuple[str, str], dict[str, Any]]) -> list[list[str]]:
    lines = []
    for name, now in new.items():
        if (before := old.get(name)) is None:
            lines.append([*name, "–", f"{now['value']:.3g} {now['unit']}", "–", "new"])
            continue
        change = now["value"] / before["value"] if before["value"] else 1.0
        worse = 1 / change if now["higher"] and change else change
        word = "worse" if worse > _WORSE else "better" if worse < 1 / _WORSE else ""
        figures = [f"{each['value']:.3g} {each['unit']}".strip() for each in (before, now)]
        lines.append([*name, *figures, f"{100 * (change - 1):+.0f} %", word])
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
