"""The source tree as data."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[str]:
    """Files that git knows or would add, as POSIX paths."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in listed.splitlines() if (root / name).exists()})


@pytest.fixture(scope="session")
def modules(root: Path) -> dict[str, ast.Module]:
    """Syntax tree of every module of the package by its dotted name."""
    trees = {}
    for path in sorted((root / "ten").rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees
