"""The one boundary: no concept of one provider in the gateway, and imports that run one way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("floway", "accounts", "responses_app")
MAY_SPEAK = ("floway/providers/codex", "floway/settings.py", "floway/urls.py", "floway/management")
WORDS = re.compile(
    r"codex|chatgpt|\bturn.?(metadata|state)\b|installation.?id|window.?id|originator|routing.?hint|wham|openai_(?!device_id)",
    re.IGNORECASE,
)
# `OpenAI` names the public API and its error envelope, which is what the gateway speaks.


def sources(*suffixes: str) -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in suffixes and "__pycache__" not in path.parts:
                yield path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def neutral(path: Path) -> bool:
    return not relative(path).startswith(MAY_SPEAK) and "migrations" not in path.parts


def test_the_gateway_speaks_no_providers_language() -> None:
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in sources(".py", ".html", ".css", ".js", ".txt", ".svg")
        if neutral(path)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if WORDS.search(line)
    ]
    assert found == []


def test_imports_run_downward() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_module_begins_with_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in sources(".py")
        if path.stat().st_size and "migrations" not in path.parts and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize("path", [path for path in sources(".py") if "migrations" in path.parts], ids=relative)
def test_migrations_import_the_standard_library_and_django_alone(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "django"}
    roots = {name.partition(".")[0] for name in imported(ast.parse(path.read_text()))}
    assert roots <= allowed


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield node.module or ""


KNOWN_STATE = {
    "floway/transport/connecting.py:_sessions",  # connections and cookies, per credential
    "floway/sqlite/base.py:_idle",  # connections nobody uses, per process and file
    "floway/sealing.py:_compressors",  # idle tools
    "floway/sealing.py:_decompressors",  # as above
    "accounts/quota.py:_noted",  # when each allowance was last written; forgetting it costs a write
}


def test_no_module_keeps_state_about_requests() -> None:
    """A module-level empty container is one that somebody fills; each that exists is argued in KNOWN_STATE."""
    found = {f"{relative(path)}:{name}" for path in sources(".py") for name in mutable_names(ast.parse(path.read_text()))}
    assert found == KNOWN_STATE


def mutable_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and is_empty_container(node.value):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and node.value is not None and is_empty_container(node.value):
            yield ast.unparse(node.target)


def is_empty_container(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict | ast.List):
        return not (value.keys if isinstance(value, ast.Dict) else value.elts)
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func).removeprefix("collections.").removeprefix("weakref.")
        return name in {"dict", "list", "set", "defaultdict", "OrderedDict", "deque", "WeakValueDictionary"}
    return False


def test_test_names_are_sentences() -> None:
    words = [
        node.name
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and node.name.count("_") < 3
    ]
    assert words == []
