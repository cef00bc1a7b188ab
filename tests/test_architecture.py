"""Imports go one way, through the packages and through the rooms of `sss_model`, and never in a circle."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.code_graph import PACKAGES, circles, imported_modules, imports_of, modules

# What each package may import of the project, besides itself.
BELOW = {
    "sss_model": set(),
    "sss_ops": {"sss_model"},
    "components": {"sss_model", "sss_ops"},
    "pipelines": {"sss_model", "sss_ops", "components"},
    "bench": {"sss_model", "sss_ops", "components"},
}
ROOMS = ("io", "data", "pcsw", "network", "inference", "evaluation", "training", "corrections")
"""The rooms of `sss_model`; each imports those before it alone."""
OPERATIONS = {"kfp", "kfp_server_api", "dvc", "mlflow", "boto3", "great_expectations", "kubernetes", "typer"}


def of(package: str) -> dict[str, Path]:
    return {name: file for name, file in modules().items() if name.split(".")[0] == package}


def tops(file: Path) -> set[str]:
    """The packages that a file imports anything of."""
    return {name.split(".")[0] for name in imports_of(file)}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    # sam2's distribution also installs a package called training; nothing here may come to depend on it.
    above = {*PACKAGES, "tests", "support", "training"} - BELOW[package] - {package}
    assert {name: found for name, file in of(package).items() if (found := tops(file) & above)} == {}


def test_the_library_imports_no_tool_of_operations() -> None:
    assert {name: found for name, file in of("sss_model").items() if (found := tops(file) & OPERATIONS)} == {}


def test_kubeflow_is_imported_by_components_and_pipelines_alone() -> None:
    importers = {name.split(".")[0] for name, file in modules().items() if "kfp" in tops(file)}
    assert importers == {"components", "pipelines"}


def test_rooms_of_the_library_import_only_those_before_them() -> None:
    upwards = []
    for name in of("sss_model"):
        for other in imported_modules(name, for_types=False):
            ours, theirs = room(name), room(other)
            if ours and theirs and ROOMS.index(ours) < ROOMS.index(theirs):
                upwards.append(f"{name} -> {other}")
    assert sorted(upwards) == []


def room(module: str) -> str | None:
    """The room of `sss_model` that a module lies in; None for those beside the rooms, such as its config."""
    parts = module.split(".")
    return parts[1] if parts[0] == "sss_model" and len(parts) > 1 and parts[1] in ROOMS else None


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {name: imported_modules(name, for_types=False, in_functions=False) for name in modules()}
    assert circles(graph) == []


def test_packages_and_rooms_import_each_other_in_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name in modules():
        graph.setdefault(folder(name), set()).update(folder(other) for other in imported_modules(name, for_types=False))
    assert circles(graph) == []


def folder(module: str) -> str:
    """A room, or a module beside the rooms."""
    return ".".join(module.split(".")[:2])


def test_a_module_says_first_what_it_does_or_is() -> None:
    firsts = {name: (ast.get_docstring(ast.parse(file.read_text())) or "") for name, file in modules().items()}
    assert [name for name, first in firsts.items() if re.match(r"(What|Whose|Which|How)\b", first)] == []
    assert [name for name, first in firsts.items() if not first] == []


SHARED = {
    # A step is one idea, as a function, a command and a Kubeflow component.
    *("version_data", "validate_splits", "train", "evaluate", "register", "report_end"),
    # Each layout has an inventory, each program a command or a main.
    *("inventory", "command", "main"),
}
"""Public names of more than one module."""


def test_no_two_public_names_are_shared_by_accident() -> None:
    homes: dict[str, list[str]] = {}
    for module, file in modules().items():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    shared = {name: found for name, found in homes.items() if len(found) > 1}
    assert {name: found for name, found in shared.items() if name not in SHARED} == {}
    assert SHARED - shared.keys() == set(), "stale: shared no longer"


def test_the_guard_sees_imports_inside_functions_and_under_type_checking(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(
        "if TYPE_CHECKING:\n    import mlflow.entities\nimport json\ndef run():\n    from dvc.repo import Repo\n"
    )
    late = tmp_path / "late.py"
    assert imports_of(late) == {"mlflow.entities", "json", "dvc.repo", "dvc.repo.Repo"}
    assert imports_of(late, for_types=False) == {"json", "dvc.repo", "dvc.repo.Repo"}
    assert imports_of(late, for_types=False, in_functions=False) == {"json"}


def test_the_steps_load_nothing_heavy_before_they_run() -> None:
    steps = [name for name in of("sss_ops") if name.startswith("sss_ops.steps")]
    heavy = {"kfp", "torch", "mlflow", "dvc", "kubernetes", "great_expectations"}
    program = f"import sys, {', '.join(steps)}; print({heavy} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"
