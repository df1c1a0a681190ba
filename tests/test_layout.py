"""The layout of the package: data flows one way, and files stay short."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "schurscope"
# Each imports only those before it when it loads; what it loads later, in a function, is free.
ORDER = (
    *("_version", "_cpu", "_internal", "_core", "trials", "networks", "training", "testing"),
    *("coordinates", "ablation", "dynamics", "diagnosis", "importers", "sweep"),
    *("plotting", "reporting", "reproduce", "cli"),
)
LEAVES = {"plotting", "reporting", "reproduce", "cli"}


def room(module: str) -> str:
    return module.split(".")[0]


def imported(path: Path) -> set[str]:
    """Rooms of the package that a file imports when it loads."""
    here = path.relative_to(PACKAGE).with_suffix("").parts[:-1]
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        nodes = node.body if isinstance(node, ast.Try) else [node]
        for statement in nodes:
            if not isinstance(statement, ast.ImportFrom) or statement.level == 0:
                continue
            base = here[: len(here) - statement.level + 1]
            module = ".".join([*base, *filter(None, [statement.module])])
            names = [module] if module else [alias.name for alias in statement.names]
            found |= {room(name) for name in names if room(name) in ORDER}
    return found


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_import_climbs_and_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    mine = room(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    if mine not in ORDER:
        return  # the package itself
    allowed = set(ORDER[: ORDER.index(mine) + 1])
    assert imported(path) <= allowed
    if mine not in {"cli", "reproduce"}:
        assert not imported(path) & (LEAVES - {mine})


def test_private_files_lie_in_one_folder():
    private = {path.name for path in PACKAGE.iterdir() if path.name.startswith("_")}
    private -= {"__init__.py", "__main__.py", "__pycache__"}
    stems = {name.split(".")[0] for name in private}
    assert {stem for stem in stems if not stem.startswith("_core_")} == {
        "_core",
        "_cpu",
        "_internal",
        "_version",
    }
    nested = [path for path in PACKAGE.rglob("*/_*.py") if path.name != "__init__.py"]
    assert not nested
