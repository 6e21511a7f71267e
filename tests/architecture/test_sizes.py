"""Ceilings: what grows past them has more than one reason to change."""

import ast
from pathlib import Path

MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 60


def test_no_file_is_longer_than_its_ceiling(root: Path) -> None:
    long = {
        str(path): lines
        for path in (root / "ten").rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    }
    assert not long


def test_no_function_is_longer_than_its_ceiling(modules: dict[str, ast.Module]) -> None:
    long = {
        f"{module}.{node.name}": size
        for module, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert not long


def test_every_module_says_what_it_owns(modules: dict[str, ast.Module]) -> None:
    silent = [module for module, tree in modules.items() if not (ast.get_docstring(tree) or "").splitlines()]
    assert not silent


def test_every_public_function_and_class_has_a_docstring(modules: dict[str, ast.Module]) -> None:
    silent = [
        f"{module}.{node.name}"
        for module, tree in modules.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if not ast.get_docstring(node)
    ]
    assert not silent


def test_no_file_is_a_drawer(modules: dict[str, ast.Module]) -> None:
    drawers = {"utils", "util", "common", "helpers", "misc"}
    assert not [module for module in modules if module.rsplit(".", 1)[-1] in drawers]


def test_no_exception_is_swallowed(modules: dict[str, ast.Module]) -> None:
    wide = {"Exception", "BaseException"}
    swallowed = [
        f"{module}:{node.lineno}"
        for module, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in wide))
        and all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
    ]
    assert not swallowed
