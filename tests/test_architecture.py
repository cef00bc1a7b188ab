"""Arrows go one way: sss_model <- components <- pipelines."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.code_graph import PACKAGES, ROOT, imports_of

FOREIGN = {"kfp", "dvc", "mlflow", "boto3", "great_expectations"}
FORBIDDEN = {
    "sss_model": {"components", "pipelines", "bench", "tests"} | FOREIGN,
    "components": {"pipelines", "bench", "tests"},
    "pipelines": {"bench", "tests"},
    "bench": {"pipelines", "tests"},
}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    # sam2's distribution also installs a package of that name; nothing here may come to depend on it.
    forbidden = FORBIDDEN[package] | {"training"}
    assert {name.split(".")[0] for name in imports_of(path)} & forbidden == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    assert path.stem not in {"utils", "helpers", "common", "misc"}


def test_the_guard_sees_imports_inside_functions_and_under_type_checking(tmp_path: Path) -> None:
    source = "if TYPE_CHECKING:\n    import mlflow.entities\ndef run():\n    from dvc.repo import Repo\n"
    (tmp_path / "late.py").write_text(source)
    assert imports_of(tmp_path / "late.py") == {"mlflow.entities", "dvc.repo", "dvc.repo.Repo"}
    assert imports_of(tmp_path / "late.py", for_types=False) == {"dvc.repo", "dvc.repo.Repo"}


@pytest.mark.parametrize("step", ["version_data", "validate_splits", "train", "evaluate", "register", "report_end"])
def test_a_step_loads_kubeflow_only_where_its_component_is_asked_for(step: str) -> None:
    code = (
        f"import sys, components.{step}; print({{'kfp', 'torch', 'mlflow', 'dvc', 'kubernetes'}} & sys.modules.keys())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
