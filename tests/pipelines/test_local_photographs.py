"""Colour photographs through `dvc repro` and Kubeflow's local runner, to a model that comes back from MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from support.code_graph import ROOT
from support.dvc_project import call, make_project
from support.samples import write_refuge

from sss_model.config import Config, load_config
from sss_model.data.importing import import_dataset
from sss_model.io.volumes import read_label
from sss_ops.prediction.checkpoints import open_checkpoint
from sss_ops.prediction.predict import predict_scans
from tests.pipelines.test_local import Here, data_version, metadata
from tests.sss_model.test_two_dimensions import FLAT

pytestmark = pytest.mark.acceptance
Check = Callable[[Path, Path, Path], None]
SMALL = {
    **FLAT,
    "model.decoder_channels": 8,
    "train.minutes": None,
    "train.batch": 2,
    "train.unlabelled_batch": 2,
    "train.precision": "32-true",
    "train.val_every": 1,
    "data_checks.min_labelled_patients": 1,
    "data_checks.min_test_patients": 1,
}


def recipe() -> Config:
    return load_config(ROOT / "configs/cpu/refuge.yaml", SMALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with photographs, reproduced and pushed once."""
    folder = tmp_path_factory.mktemp("photographs")
    import_dataset("refuge", write_refuge(folder / "source"), folder / "refuge")
    made = make_project(folder / "project", scans=folder / "refuge", recipe=recipe())
    call(made, "dvc", "repro")
    call(made, "dvc", "remote", "add", "--quiet", "team", "../team")
    call(made, "dvc", "push", "--quiet", "--remote", "team", "data.dvc")
    return made


@pytest.fixture
def comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> Check:
    """Fails unless the registered model's checkpoint, taken from a folder's store, segments a test photograph as it was
    scored."""

    def check(folder: Path, record: Path, scores: Path) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        found = json.loads(record.read_text())
        version = mlflow.MlflowClient().get_model_version(found["model"], found["version"])
        assert version.tags["dice"] == str(json.loads(scores.read_text())["dice"])
        assert "challenger" in version.aliases
        mask, scored = tmp_path / "mask.png", project / "predictions/T0001.png"
        with open_checkpoint(found["uri"]) as checkpoint:
            predict_scans(checkpoint, str(project / "data/refuge/imagesTs/T0001_0000.png"), str(mask))
        assert (read_label(mask).array == read_label(scored).array).all()

    return check


def test_dvc_repro_registers_a_model_of_photographs(project: Path, comes_back: Check) -> None:
    assert len((project / "evaluation/cases.csv").read_text().splitlines()) == 1 + 2 * 2
    assert (project / "evaluation/overlays/T0001.png").is_file()
    comes_back(project, project / "registration.json", project / "metrics.json")


def test_kubeflows_local_runner_finds_the_same(project: Path, tmp_path: Path, comes_back: Check) -> None:
    here = Here(tmp_path, project / "params.yaml", project.parent / "team")
    done = here.run(data_version(project))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    ran = here.latest()
    assert (ran / "evaluate/metrics").read_bytes() == (project / "metrics.json").read_bytes()
    assert "Dice cup" in metadata(ran / "evaluate", "metrics")
    comes_back(tmp_path, ran / "register/registration", ran / "evaluate/metrics")
