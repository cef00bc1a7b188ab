"""`dvc repro` from scans to a registered model, in a copy of this project with a small cohort and a quick recipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch
import yaml
from support.dvc_project import ENVIRONMENT, call, make_project
from support.paths import ROOT

from sss_model.config import Config
from sss_model.data.phantom import write_phantom

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STEPS = ("version-data", "validate-splits", "train", "evaluate", "register")
QUICK = {"train.steps": 10, "train.val_every": 5}


def sections_of(stage: str) -> set[str]:
    """The recipe's sections that a stage reads."""
    named = [param for param in PIPELINE["stages"][stage].get("params", []) if isinstance(param, dict)]
    return {section for param in named for section in param.get("recipe.yaml") or []}


@pytest.mark.parametrize("stage", STEPS)
def test_a_stage_depends_on_its_step_and_on_code_that_is_there(stage: str) -> None:
    named = {name for name in PIPELINE["stages"][stage]["deps"] if name.startswith("sss_")}
    assert f"sss_ops/steps/{stage.replace('-', '_')}.py" in named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_section_of_the_recipe_is_read_by_some_stage() -> None:
    names = {field.alias or name for name, field in Config.model_fields.items()}
    read = {section for stage in STEPS for section in sections_of(stage)}
    # `sss promote` reads its section itself, out of the pipeline.
    assert read == names - {"promotion"}


@pytest.mark.parametrize("recipe", [ROOT / "params.yaml", *sorted((ROOT / "configs").rglob("*.yaml"))])
def test_every_recipe_states_what_dvc_reads_from_it_or_is_told_to_change(recipe: Path) -> None:
    stated = yaml.safe_load(recipe.read_text())
    assert stated["data"]["name"], "dvc.yaml reads ${data.name}"
    assert stated["train"]["method"], "`dvc exp run -S train.method=…` changes only keys that are stated"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, phantom: Path, recipe: Callable[..., Config]) -> Path:
    """The project, reproduced once."""
    folder = make_project(tmp_path_factory.mktemp("clone") / "project", scans=phantom, recipe=recipe(QUICK))
    call(folder, "dvc", "repro")
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "--quiet", "--message", "reproduced")
    return folder


def test_scans_become_a_registered_model_with_a_report(project: Path) -> None:
    record = json.loads((project / "registration.json").read_text())
    version = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db").get_model_version(
        record["model"], record["version"]
    )
    summary = json.loads((project / "evaluation/summary.json").read_text())
    assert version.tags["dice"] == str(summary["dice"])
    assert version.tags["data_version"] == yaml.safe_load((project / "data.dvc").read_text())["outs"][0]["md5"]
    assert (project / "evaluation/report.html").stat().st_size > 1000


def test_git_sees_only_the_lock_and_the_data_version(project: Path) -> None:
    tracked = set(call(project, "git", "ls-files").split())
    assert {"dvc.lock", "data.dvc"} <= tracked
    made = {out for stage in PIPELINE["stages"].values() for key in ("outs", "metrics") for out in stage.get(key, [])}
    assert not [path for path in tracked for out in made | {"data", "mlruns", ".runs"} if path.startswith(f"{out}/")]
    assert not made & tracked
    # DVC writes a .gitignore beside what git would see; ours already covers all of it.
    assert {path for path in tracked if path.endswith(".gitignore")} == {".gitignore", ".dvc/.gitignore"}


def test_the_second_time_nothing_runs(project: Path) -> None:
    for folder in ("sss_model", "sss_ops/registry"):
        (project / folder / "__pycache__").mkdir(exist_ok=True)
        (project / folder / "__pycache__/another.pyc").write_bytes(b"bytecode")
    said = call(project, "dvc", "repro")
    assert said.count("didn't change, skipping") == 1 + len(PIPELINE["stages"])
    assert "Running" not in said


def test_a_key_that_no_stage_reads_runs_none_of_them(project: Path) -> None:
    params = project / "params.yaml"
    before = params.read_text()
    recipe = yaml.safe_load(before)
    recipe["promotion"]["margin"] = 0.5
    params.write_text(yaml.safe_dump(recipe))
    said = call(project, "dvc", "repro")
    assert "Running stage 'recipe'" in said
    assert said.count("Running stage") == 1
    params.write_text(before)
    call(project, "dvc", "repro")


def test_metrics_and_plots_are_shown(project: Path) -> None:
    lines = call(project, "dvc", "metrics", "show").splitlines()
    assert max(map(len, lines)) <= 120
    shown = json.loads(call(project, "dvc", "metrics", "show", "--json"))
    metrics = json.loads((project / "metrics.json").read_text())
    assert shown[""]["data"]["metrics.json"]["data"]["dice"] == metrics["dice"]
    drawn = json.loads(call(project, "dvc", "plots", "show", "--json"))
    assert set(drawn["data"]) == {name for plot in PIPELINE["plots"] for name in plot}
    assert "errors" not in drawn


@pytest.mark.acceptance
def test_an_experiment_changes_one_parameter_and_retrains(project: Path) -> None:
    said = call(project, "dvc", "exp", "run", "--set-param", "train.method=supervised")
    assert "Running stage 'train'" in said
    assert "Stage 'validate-splits' didn't change" in said
    assert json.loads((project / "checkpoint/meta.json").read_text())["method"] == "supervised"
    compared = json.loads(call(project, "dvc", "metrics", "diff", "--all", "--json"))["metrics.json"]["dice"]
    assert {"old", "new"} <= set(compared)
    assert len(call(project, "dvc", "exp", "list", "--name-only").split()) == 1


def test_a_training_that_was_killed_goes_on_where_it_was(project: Path) -> None:
    recipe = yaml.safe_load((project / "params.yaml").read_text())
    recipe["train"].update(steps=60, val_every=60, save_minutes=0.001)
    (project / "params.yaml").write_text(yaml.safe_dump(recipe))
    repro = ["dvc", "repro", "train"]
    killed = subprocess.Popen(repro, cwd=project, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.DEVNULL)
    _wait_until(lambda: _steps_saved(project) >= 12 and any(project.glob(".runs/*/tracking.json")))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    (tracked,) = project.glob(".runs/*/tracking.json")
    run_id = json.loads(tracked.read_text())["run_id"]
    assert not (project / "checkpoint").exists()

    call(project, *repro)
    assert json.loads((project / "checkpoint/meta.json").read_text())["steps"] == 60
    assert json.loads((project / "checkpoint/tracking.json").read_text())["run_id"] == run_id
    store = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert store.get_run(run_id).info.status == "FINISHED"
    logged = [point.step for point in store.get_metric_history(run_id, "loss")]
    assert logged.count(1) == 1, "the second process began anew"
    assert max(logged) == 51  # of every ten steps the first
    assert not any(project.glob(".runs/*"))


def _steps_saved(project: Path) -> int:
    return max((torch.load(path)["step"] for path in project.glob(".runs/*/state.pt")), default=0)


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


DVC = [sys.executable, "-m", "dvc"]


def test_the_phantom_made_here_is_the_version_that_git_names(tmp_path: Path) -> None:
    named = yaml.safe_load(Path("data.dvc").read_text())["outs"][0]
    write_phantom(tmp_path / "data" / "phantom")
    files = sum(path.is_file() for path in (tmp_path / "data").rglob("*"))
    if named["nfiles"] != files:
        pytest.skip("data.dvc names other data than the phantom")
    subprocess.run([*DVC, "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True)
    subprocess.run([*DVC, "add", "--quiet", "--no-commit", "data"], cwd=tmp_path, check=True)
    assert yaml.safe_load((tmp_path / "data.dvc").read_text())["outs"][0]["md5"] == named["md5"]
