"""What a Python file of this project imports, read from its syntax without running it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from support.paths import ROOT

PACKAGES = ("sss_model", "sss_ops", "components", "pipelines", "bench")


@cache
def imports_of(path: Path, *, for_types: bool = True, for_kubeflow: bool = True) -> frozenset[str]:
    """Full names of the modules a file imports anywhere in it.

    `for_types` counts those that only type checkers see, `for_kubeflow` those that only a Kubeflow component does.
    """
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif (for_types or not _is_for_types(node)) and (for_kubeflow or not _is_for_kubeflow(node)):
            pending += ast.iter_child_nodes(node)
    return frozenset(found)


def files_behind(path: Path) -> frozenset[Path]:
    """The project's files that run when `path` does outside Kubeflow, itself among them."""
    found: set[Path] = set()
    pending = {path}
    while pending:
        found |= pending
        names = {name for file in pending for name in imports_of(file, for_types=False, for_kubeflow=False)}
        pending = {file for name in names for file in _files_of(name)} - found
    return frozenset(found)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_for_kubeflow(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "kubeflow_component"


def _files_of(module: str) -> list[Path]:
    """A module's own file and the ``__init__.py`` of the packages above it; none for what isn't this project's."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return []
    above = [ROOT.joinpath(*parts[:depth]) / "__init__.py" for depth in range(1, len(parts) + 1)]
    return [file for file in [*above, ROOT.joinpath(*parts).with_suffix(".py")] if file.is_file()]
