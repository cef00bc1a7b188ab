"""Every layout all the way: import, version, data checks, training, evaluation, report, registration."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from dvc.repo import Repo
from support.layouts import LAYOUTS, Layout

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import read_manifest
from sss_model.io.volumes import read_label
from sss_ops.cli import app
from sss_ops.prediction.predict import predict_scans

pytestmark = pytest.mark.acceptance


def sss(*words: str) -> None:
    """What a person types, in this process, so that libraries are loaded once for all layouts."""
    app(list(words), standalone_mode=False)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables, which take it seconds to make."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def here(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project of its own, with DVC and an MLflow store and nothing else."""
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    Repo.init(no_scm=True)
    return tmp_path


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.title)
def test_a_layout_becomes_a_registered_model(
    layout: Layout, here: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    row: dict[str, Any] = {"layout": layout.title, "data_checks": "not asked"}
    record_property("layout", row)
    began = time.monotonic()
    layout.prepare(here)
    sss("import", *shlex.split(layout.words))
    sss("data", "add", "--no-push")
    data_dir = ("--data-dir", str(layout.data_dir))
    sss("version-data", *data_dir)
    manifest = read_manifest(Path("manifest.csv"))
    flat = all(case.slices == 1 for case in manifest.cases)
    row |= {"cases": len(manifest.cases), "dimensions": "2-D" if flat else "3-D", "data_checks": "refused"}
    sss("validate-splits", *data_dir)
    row |= {"data_checks": "passed"}
    sss("train", *data_dir)
    sss("evaluate", *data_dir, "--params", "params.yaml")
    sss("register")

    scores = json.loads(Path("evaluation/summary.json").read_text())
    record = json.loads(Path("registration.json").read_text())
    row |= {"dice": scores["dice"], "version": f"{record['model']} {record['version']}"}
    assert scores["dice"] >= layout.dice
    assert Path("evaluation/report.html").read_text().startswith("<!doctype html>")
    assert f"mean Dice {scores['dice']:.3f}" in capsys.readouterr().out
    _check_registered(record, scores, layout.data_dir)
    row |= {"seconds": round(time.monotonic() - began)}


def _check_registered(record: dict[str, str], scores: dict[str, Any], data_dir: Path) -> None:
    """The version says what it is, and what comes back from the registry segments a test scan as it was scored."""
    version = mlflow.MlflowClient().get_model_version(record["model"], record["version"])
    assert version.tags["dice"] == str(scores["dice"])
    assert version.tags["data_version"] == json.loads(Path("data_version.json").read_text())["version"]
    assert mlflow.pyfunc.load_model(record["uri"]).unwrap_python_model().predictor
    package = Path(mlflow.artifacts.download_artifacts(record["uri"], dst_path="again"))
    (checkpoint,) = (path.parent for path in package.rglob("meta.json"))
    scored = min(Path("predictions").iterdir())
    case, ending = scored.name.split(".", 1)
    (scan,) = (data_dir / "imagesTs").glob(f"{case}_0000.*")
    predict_scans(load_checkpoint(checkpoint), str(scan), f"mask.{ending}")
    assert np.array_equal(read_label(Path(f"mask.{ending}")).array, read_label(scored).array)
