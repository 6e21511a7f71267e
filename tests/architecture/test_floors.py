"""The floors of docs/architecture.md: imports point down, and torch stays where it belongs."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "spelling"),
    ("units", "logs", "settings", "environment", "hardware", "prices"),
    ("calls",),
    ("scan", "store"),
    ("hub",),
    ("text",),
    ("model", "data"),
    ("train", "resources", "hf"),
    ("job", "job_flags"),
    ("dataset", "quote"),
    ("preparation",),
    ("feeding", "runs", "runs_list", "plan", "holdings", "limits", "launch", "render", "schema", "sinks"),
    ("attempt", "disk", "cloud", "cloud_flags", "report"),
    ("trainer",),
    ("run", "inference", "doctor"),
    ("flags", "export"),
    ("verbs",),
    ("cli",),
)
TORCH = {
    "ten.data.held_out", "ten.data.loader", "ten.hf", "ten.hf.cache", "ten.hf.config", "ten.hf.model",
    "ten.hf.padding", "ten.model.block", "ten.model.convolution", "ten.model.decode", "ten.model.documents",
    "ten.model.generate", "ten.model.lm", "ten.model.loss", "ten.model.matrix_mixer", "ten.model.mixer",
    "ten.model.readout", "ten.model.recompute", "ten.model.start", "ten.scan", "ten.scan.auto", "ten.scan.chunked",
    "ten.scan.eigenvalues", "ten.scan.fused", "ten.scan.operator", "ten.scan.outer", "ten.scan.outer_reference",
    "ten.scan.reference", "ten.train.adamw", "ten.train.adamw8bit", "ten.train.backward", "ten.train.checkpoint",
    "ten.train.compilation", "ten.train.device", "ten.train.distributed",
    "ten.train.evaluate", "ten.train.levels", "ten.train.loop", "ten.train.mending", "ten.train.muon",
    "ten.train.named_tensors", "ten.train.optim", "ten.train.optimizer", "ten.train.outcome", "ten.train.prefetch",
    "ten.train.random_state", "ten.train.rehearsal", "ten.train.samples", "ten.train.sharding", "ten.train.step",
    "ten.train.tensor_file", "ten.train.training",
}  # fmt: skip
"""Modules that import torch, themselves or through another; nothing else may when it is imported."""
TRITON = {"ten.scan.kernels", "ten.scan.lanes"}
"""The same of triton; the fused backend imports them when it first runs, as triton is not made for every platform."""


def _imports(name: str, tree: ast.Module, modules: dict[str, ast.Module], deferred: bool = True) -> set[str]:
    """Modules of the package that a module imports; `deferred` counts those inside functions and for types too."""
    nodes = ast.walk(tree) if deferred else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {module for module in found if module in modules and module not in (name, "ten")}


def _importers(package: str, modules: dict[str, ast.Module], *, deferred: bool) -> set[str]:
    """Modules that import a package of others; `deferred` counts those inside functions too."""
    return {
        module
        for module, tree in modules.items()
        for node in (ast.walk(tree) if deferred else tree.body)
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == package for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package)
    }


def _floor(module: str) -> int:
    part = module.split(".")[1]
    return next(number for number, names in enumerate(FLOORS) if part in names)


def test_every_module_has_a_floor(modules: dict[str, ast.Module]) -> None:
    placed = {name for names in FLOORS for name in names}
    assert {module.split(".")[1] for module in modules if module != "ten"} == placed


def test_imports_point_down_and_neighbours_do_not_know_each_other(modules: dict[str, ast.Module]) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, tree in modules.items()
        if module != "ten"
        for imported in _imports(module, tree, modules)
        if module.split(".")[1] != imported.split(".")[1] and _floor(imported) >= _floor(module)
    ]
    assert not wrong


def test_no_two_modules_import_each_other(modules: dict[str, ast.Module]) -> None:
    graph = {module: _imports(module, tree, modules) for module, tree in modules.items()}
    packages = {module for module in modules if any(other.startswith(f"{module}.") for other in modules)}
    order = TopologicalSorter({module: found - packages for module, found in graph.items() if module not in packages})
    assert len(list(order.static_order())) > 50


def test_only_marked_modules_import_torch(modules: dict[str, ast.Module]) -> None:
    assert _importers("torch", modules, deferred=False) <= TORCH
    assert set(modules) >= TORCH


def test_only_the_interface_of_transformers_imports_it(modules: dict[str, ast.Module]) -> None:
    direct = _importers("transformers", modules, deferred=False)
    assert direct
    assert {module.split(".")[1] for module in direct} == {"hf"}


def test_only_the_kernels_import_triton(modules: dict[str, ast.Module]) -> None:
    assert _importers("triton", modules, deferred=True) == TRITON


def test_unmarked_modules_do_without_torch(modules: dict[str, ast.Module], root: Path) -> None:
    names = sorted(set(modules) - TORCH - TRITON)
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() == "False"


def test_documents_draw_the_same_floors(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    text = re.sub(r"\n {5,}", " ", text)  # a floor with much on it takes more than one line
    for number, names in enumerate(FLOORS):
        line = next(line for line in text.splitlines() if line.startswith(f"{number}  "))
        assert all(name in line for name in names), f"floor {number} is drawn differently"
