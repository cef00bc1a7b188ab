"""Fixtures of steps and components: an empty MLflow store, and the files that steps leave for one another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from sss_model.config import Config, dump_config
from sss_model.data.manifest import Manifest, write_manifest
from sss_model.data.phantom import write_phantom
from sss_model.evaluation.summary import main_figures
from sss_model.evaluation.tables import write_scores
from sss_model.files import sha256
from support.registered_models import evaluate_in, fill_folder
from support.scores import score

if TYPE_CHECKING:
    import mlflow

_WORSE = {"jaccard": 0.5, "hd95_mm": 4.0, "asd_mm": 1.0}
SUMMARY = {
    "split": "test",
    "dice": 0.7,
    **_WORSE,
    "per_class": {"cavity": {"dice": 0.8, **_WORSE}, "wall": {"dice": 0.6, **_WORSE}},
    "ssl4mis": {"dice": 0.69, "per_class": {"cavity": {"dice": 0.79}, "wall": {"dice": 0.59}}},
    "counts": {"scored": 3, "missed": 1, "invented": 0, "not_applicable": 0},
    "cases": 2,
    "patients": 1,
    "prompt_source": "none",
    "rules": "A sentence.",
}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables, which take it seconds to make."""
    import mlflow

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """A store of its own for each test, in a new working directory."""
    import mlflow

    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    # MLflow keeps stores by their address, so a relative one would be the first test's.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture(scope="session")
def steps(
    tmp_path_factory: pytest.TempPathFactory, manifest: Manifest, recipe: Callable[..., Config], checkpoint: Path
) -> Path:
    """A folder with what the steps before `register` leave, but for the checkpoint; not to be changed."""
    folder = tmp_path_factory.mktemp("steps")
    write_manifest(manifest, folder / "manifest.csv")
    (folder / "params.yaml").write_text(yaml.safe_dump(dump_config(recipe())))
    (folder / "data_version.json").write_text(json.dumps({"name": "phantom", "version": "0" * 32 + ".dir"}))
    for name in ("evaluation/report.html", "validation/report.html"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder / "evaluation/summary.json").write_text(json.dumps(SUMMARY))
    (folder / "metrics.json").write_text(json.dumps(main_figures(SUMMARY)))
    missed = score("p1_b", "wall", 0.0, status="missed", truth_ml=12.34)
    rows = [score("p1_a", "cavity", 0.75), score("p1_a", "wall", 0.6), score("p1_b", "cavity", 0.85), missed]
    write_scores(rows, folder / "evaluation/cases.csv")
    return folder


@pytest.fixture(scope="session")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, steps: Path, checkpoint: Path, phantom: Path, manifest: Manifest
) -> Path:
    """What the steps before `register` leave, the checkpoint's true evaluation among it; not to be changed."""
    folder = Path(shutil.copytree(steps, tmp_path_factory.mktemp("evaluated") / "steps"))
    shutil.rmtree(folder / "evaluation")
    shutil.copytree(checkpoint, folder / "checkpoint")
    record = {"name": "phantom", "version": "0" * 32, "manifest_sha256": sha256(folder / "manifest.csv")}
    (folder / "data_version.json").write_text(json.dumps({**record, "channel": "MRI", "licence": "", "citation": ""}))
    evaluate_in(folder, data=phantom)
    return folder


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort whose two test patients the checkpoint never saw; it calls itself the phantom."""
    folder = tmp_path_factory.mktemp("cohort") / "phantom"
    write_phantom(folder, patients=12)
    return folder


@pytest.fixture(scope="session")
def registrable(tmp_path_factory: pytest.TempPathFactory, steps: Path, checkpoint: Path, cohort: Path) -> Path:
    """A working directory in which only `sss register` is left to be done; to be copied."""
    folder = tmp_path_factory.mktemp("registrable")
    fill_folder(folder, steps=steps, checkpoint=checkpoint, cohort=cohort)
    return folder
