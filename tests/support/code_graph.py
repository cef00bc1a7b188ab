"""The project's modules and what they import, read from their syntax without running them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from support.paths import ROOT

PACKAGES = ("sss_model", "sss_ops", "components", "pipelines", "bench")


@cache
def modules() -> Mapping[str, Path]:
    """Every module of the project by its full name; a package's is that of its ``__init__.py``."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


@cache
def imports_of(path: Path, *, for_types: bool = True, in_functions: bool = True) -> frozenset[str]:
    """Full names of the modules, and of what is taken from modules, that a file imports anywhere in it.

    Args:
        for_types: count imports under ``if TYPE_CHECKING``.
        in_functions: count imports inside functions.
    """
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif (for_types or not _is_for_types(node)) and (in_functions or not isinstance(node, ast.FunctionDef)):
            pending += ast.iter_child_nodes(node)
    return frozenset(found)


def imported_modules(module: str, *, for_types: bool = True, in_functions: bool = True) -> set[str]:
    """The project's modules that one of them imports.

    ``from package import module`` counts as the module alone, since a package's ``__init__.py`` is never its business.
    """
    names = imports_of(modules()[module], for_types=for_types, in_functions=in_functions)
    found = {name for name in names if name in modules()}
    return {name for name in found if not any(other.startswith(f"{name}.") for other in names)} - {module}


def files_behind(path: Path) -> frozenset[Path]:
    """The project's files that may run when `path` does, itself and the packages' ``__init__.py`` among them."""
    found: set[Path] = set()
    pending = {path}
    while pending:
        found |= pending
        names = {name for file in pending for name in imports_of(file, for_types=False)}
        pending = {file for name in names for file in _files_of(name)} - found
    return frozenset(found)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other.

    >>> circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}})
    [['b', 'c']]
    """
    reached = {node: _reached_from(node, graph) for node in graph}
    groups = {frozenset({node, *(other for other in reached[node] if node in reached[other])}) for node in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reached_from(node: str, graph: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    pending = set(graph[node])
    while pending:
        found |= pending
        pending = {after for each in pending for after in graph.get(each, ())} - found
    return found


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _files_of(name: str) -> list[Path]:
    """A module's own file and those of the packages above it; none for what isn't this project's."""
    parts = name.split(".")
    above = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    return [modules()[each] for each in above if each in modules()]
