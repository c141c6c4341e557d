"""The layer rule: imports point right only, and siblings do not import each other."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "ironbucket"
#: the modules at the top (fsutil, config, errors, clock, ...), which import only each other; all may import them
BASE: set[str] = set()
#: layer -> what it may import beside itself and the base
ALLOWED = {
    "cli": {"server", "s3", "replication", "node", "store", "wal"},
    "server": {"s3", "replication", "node", "store", "wal"},
    "s3": {"node", "store", "wal"},
    "replication": {"node", "store", "wal"},
    "node": {"store", "wal"},
    "store": BASE,
    "wal": BASE,
}


def _imports(path: Path) -> set[str]:
    """The parts of the package that a module imports, at its head or inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import hides the layer"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("ironbucket.")}


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_point_right_only() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if _layer(path) != "__main__"
        for other in sorted(_imports(path) & set(ALLOWED) - {_layer(path)} - ALLOWED.get(_layer(path), BASE))
    ]
    assert wrong == []


def test_the_command_line_is_imported_by_nothing_but_the_program() -> None:
    assert [path.name for path in PACKAGE.rglob("*.py") if "cli" in _imports(path) and _layer(path) != "cli"] == [
        "__main__.py"
    ]
