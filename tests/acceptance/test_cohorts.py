"""Whole cohorts: every layout all the way, planted faults, and the paper's command lines.

Added to the command lines are a smaller picture and a budget of a few steps; one also runs at its own 1024².
"""

from __future__ import annotations

import json
import runpy
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from dvc.repo import Repo
from support.layouts import LAYOUTS, Layout
from support.paths import ROOT
from support.planted_cohort import Cohort, failed_rules
from support.planted_faults import FAULTS
from support.sam2_checkpoints import write_checkpoint

from sss_model.checkpoint import load_checkpoint
from sss_model.config import load_config
from sss_model.data.manifest import build_manifest, read_manifest
from sss_model.data.phantom import write_phantom
from sss_model.files import sha256
from sss_model.io.volumes import read_label
from sss_ops.cli import app
from sss_ops.prediction.predict import predict_scans
from sss_ops.storage import published
from sss_ops.storage.published import Published
from tests.sss_ops.medical_sam2.conftest import LINES, RAW
from tests.sss_ops.medical_sam2.conftest import words as words

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


def test_each_planted_fault_fails_its_rule_and_no_other(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    write_phantom(tmp_path / "good", patients=10)
    good = Cohort(tmp_path / "good", build_manifest(tmp_path / "good"), load_config(ROOT / "configs/phantom.yaml"))
    found = {"none": failed_rules(good)}
    for number, fault in enumerate(FAULTS):
        cohort = good.copied(tmp_path / str(number) / "phantom")
        fault.plant(cohort)
        found[fault.words] = failed_rules(cohort)
        for rule, sentences in found[fault.words].items():
            found[fault.words][rule] = [sentence.replace(f"{cohort.folder}/", "") for sentence in sentences]
    record_property("faults", table(found))
    expected = {"none": set(), **{fault.words: set(fault.rules) for fault in FAULTS}}
    assert {words: set(failed) for words, failed in found.items()} == expected


def table(found: dict[str, dict[str, list[str]]]) -> str:
    """In Markdown: fault, the rules that fail, and what the first one says."""
    lines = ["| fault | rules that fail | what the first one says |", "|---|---|---|"]
    for fault, failed in found.items():
        first = next((sentences[0] for sentences in failed.values()), "")
        lines.append(f"| {fault} | {', '.join(failed) or 'none'} | {first} |")
    return "\n".join(lines)


SIZES = [("REFUGE", 128, 2), ("btcv", 128, 2), ("REFUGE", 1024, 3)]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """sam2_hiera_small.pt where the lines look for it, in a new working directory; its hash is taken for Meta's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "checkpoints").mkdir()
    path = write_checkpoint(tmp_path / "checkpoints/sam2_hiera_small.pt", "small", "2.0", number=0.01)
    known = Published("small", "2.0", path.name, "072824", path.stat().st_size, sha256(path))
    monkeypatch.setattr(published, "PUBLISHED", (known,))
    return known


@pytest.mark.parametrize(("name", "size", "steps"), SIZES)
def test_a_line_trains_evaluates_and_reports(
    name: str,
    size: int,
    steps: int,
    weights: Published,
    words: Callable[..., list[str]],
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dimensions, _ = LINES[name]
    script = f"train_{dimensions}d.py"
    row: dict[str, Any] = {"line": f"{script} -dataset {name}", "size": size, "encoder": weights.encoder}
    record_property("command line", row)
    began = time.monotonic()
    RAW[name](Path("data", name))
    sizes = {"image_size": size} | ({"out_size": size} if dimensions == 2 else {})
    monkeypatch.setattr(sys, "argv", [script, *words(name, **sizes, steps=steps)])
    runpy.run_path(str(ROOT / script), run_name="__main__")

    (folder,) = Path("runs").iterdir()
    scores = json.loads((folder / "evaluation/summary.json").read_text())
    meta = load_checkpoint(folder / "checkpoint").meta
    row |= {"steps": meta.steps, "dice": scores["dice"], "seconds": round(time.monotonic() - began)}
    assert (meta.method, meta.steps, meta.pretrained_sha256) == ("sss", steps, weights.sha256)
    assert (folder / "evaluation/report.html").is_file()
    assert (folder / "oracle.csv").is_file() == ("-prompt" in sys.argv)
    assert "promptless Dice" in capsys.readouterr().out
