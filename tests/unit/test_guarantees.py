"""docs/guarantees.md names a test for each promise: all of them exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
_NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`")


def _tests(path: Path) -> set[str]:
    return {
        node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    }


def test_every_named_test_exists() -> None:
    named = set(_NAMED.findall(PAGE.read_text(encoding="utf-8")))
    assert len(named) > 40
    missing = [f"{path}::{name}" for path, name in sorted(named) if name not in _tests(ROOT / path)]
    assert missing == []


def test_every_promise_names_a_test() -> None:
    """Each row of a table with the column `test`."""
    rows, last = [], []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and last and last[-1] == "test" and not set(line) <= set("|-"):
            rows.append(line)
        last = cells if cells and not last else last if cells else []
    unproven = [row for row in rows if not _NAMED.search(row)]
    assert len(rows) > 40
    assert unproven == []
