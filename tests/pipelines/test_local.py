"""The pipeline in Kubeflow's own local runner, beside `dvc repro` on the same scans."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from support.dvc_project import ENVIRONMENT, call, make_project
from support.paths import ROOT
from support.samples import write_refuge

from sss_model.config import Config, load_config
from sss_model.data.importing import import_dataset
from sss_model.io.volumes import read_label
from sss_ops.prediction.checkpoints import open_checkpoint
from sss_ops.prediction.predict import predict_scans
from tests.sss_model.test_two_dimensions import FLAT

QUICK = {"train.steps": 6, "train.val_every": 3}


class Here:
    """A folder in which `python -m pipelines run` is typed."""

    def __init__(self, folder: Path, recipe: Path, remote: Path) -> None:
        self.folder, self.recipe, self.remote = folder, recipe, remote

    def run(self, version: str, *options: str) -> subprocess.CompletedProcess[str]:
        settings = [f"recipe={self.recipe}", f"data_remote={self.remote}", f"data_version={version}"]
        command = [sys.executable, "-m", "pipelines", "run", *options, *settings]
        environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def latest(self) -> Path:
        return max((self.folder / "build/runs").glob("sss-training-*"), key=lambda path: path.name)


def data_version(project: Path) -> str:
    version: str = yaml.safe_load((project / "data.dvc").read_text())["outs"][0]["md5"]
    return version


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, phantom: Path, recipe: Callable[..., Config]) -> Path:
    """The project, reproduced and pushed once."""
    folder = make_project(tmp_path_factory.mktemp("dvc") / "project", scans=phantom, recipe=recipe(QUICK))
    call(folder, "dvc", "repro")
    call(folder, "dvc", "remote", "add", "--quiet", "team", "../team")
    call(folder, "dvc", "push", "--quiet", "--remote", "team", "data.dvc")
    return folder


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Here:
    return Here(tmp_path_factory.mktemp("run"), project / "params.yaml", project.parent / "team")


@pytest.fixture(scope="module")
def ran(here: Here, project: Path) -> Path:
    """What the pipeline made of the project's version."""
    done = here.run(data_version(project), "--cached")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return here.latest()


def metadata(task: Path, artifact: str) -> dict[str, Any]:
    written = json.loads((task / "executor_output.json").read_text())["artifacts"][artifact]
    found: dict[str, Any] = written["artifacts"][0]["metadata"]
    return found


def executed(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The tasks that ran and were not taken from the cache."""
    return set(re.findall(r"Executing task \S*?'([a-z-]+)'", done.stdout + done.stderr))


def test_the_pipeline_and_dvc_repro_find_the_same(ran: Path, project: Path) -> None:
    assert (ran / "evaluate/metrics").read_bytes() == (project / "metrics.json").read_bytes()
    summary = "evaluation/summary.json"
    assert (ran / "evaluate" / summary).read_bytes() == (project / summary).read_bytes()


def test_every_step_leaves_what_the_ui_shows(ran: Path) -> None:
    dice = json.loads((ran / "evaluate/metrics").read_text())["dice"]
    assert metadata(ran / "evaluate", "metrics")["Dice"] == pytest.approx(dice, abs=1e-4)
    matrix = metadata(ran / "evaluate", "confusion")["confusionMatrix"]
    assert matrix["annotationSpecs"][0]["displayName"] == "background"
    for report in ("validate-splits/report", "evaluate/report"):
        assert (ran / report).read_text().startswith("<!doctype html>")
    assert "data:image/webp;base64," in (ran / "evaluate/report").read_text(), "overlays are in the report"
    assert (ran / "register/card").read_text().startswith("# sss-phantom")
    assert (ran / "report-end/summary").read_text().startswith("# The run succeeded")
    assert "Dice, validation" in metadata(ran / "train", "validation")
    assert (ran / "version-data/data/phantom/dataset.json").is_file()


def test_the_model_is_registered_with_its_data_version_and_image(ran: Path, here: Here, project: Path) -> None:
    record = json.loads((ran / "register/registration").read_text())
    store = mlflow.MlflowClient(f"sqlite:///{here.folder}/mlflow.db")
    tags = store.get_model_version(record["model"], record["version"]).tags
    assert tags["data_version"] == data_version(project)
    assert tags["image_digest"].startswith("code:")


def test_unchanged_bytes_run_nothing_again_and_changed_ones_do(ran: Path, here: Here, project: Path) -> None:
    again = here.run(data_version(project), "--cached")
    assert again.returncode == 0
    assert executed(again) == {"report-end"}

    # One patient's scan under another's name as well, which the gate must see.
    for folder in ("imagesTr", "labelsTr"):
        # Two frames a patient.
        one, _, other, *_ = sorted((project / "data/phantom" / folder).iterdir())
        shutil.copyfile(one, other)
    call(project, "dvc", "add", "--quiet", "data")
    call(project, "dvc", "push", "--quiet", "--remote", "team", "data.dvc")
    changed = here.run(data_version(project), "--cached")
    assert executed(changed) == {"version-data", "validate-splits", "train", "report-end"}

    # The gate's report is there although the run failed, and the next step refused.
    assert changed.returncode == 2
    assert changed.stderr.splitlines()[-1].startswith("error: sss-training: ")
    assert "error: the data did not pass the data checks; expected a pass" in changed.stdout
    assert "failed" in (here.latest() / "validate-splits/report").read_text()
    assert (here.latest() / "report-end/summary").read_text().startswith("# The run ended as failed")
    assert not (here.latest() / "evaluate").exists()


def test_an_unknown_parameter_is_refused_with_the_one_that_was_meant(here: Here) -> None:
    done = here.run("phantom", "step=5")
    assert done.returncode == 2
    assert done.stderr.startswith("error: step: no such parameter; did you mean steps; expected one of ")


def test_the_image_is_an_option_and_no_parameter(here: Here) -> None:
    done = here.run("phantom", "image=sss:dev")
    assert done.returncode == 2
    assert done.stderr.startswith("error: image: not among the parameters of a run on this machine; expected --image")


def test_containers_are_refused_without_a_server_that_keeps_what_they_find(here: Here) -> None:
    done = here.run("phantom", "--runner", "docker")
    assert done.returncode == 2
    assert done.stderr.startswith("error: MLFLOW_TRACKING_URI: not set; expected the address of a server")


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
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with photographs, reproduced and pushed once."""
    folder = tmp_path_factory.mktemp("photographs")
    import_dataset("refuge", write_refuge(folder / "source"), folder / "refuge")
    made = make_project(folder / "project", scans=folder / "refuge", recipe=recipe())
    call(made, "dvc", "repro")
    call(made, "dvc", "remote", "add", "--quiet", "team", "../team")
    call(made, "dvc", "push", "--quiet", "--remote", "team", "data.dvc")
    return made


@pytest.fixture
def comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photographs: Path) -> Check:
    """Fails unless the registered model's checkpoint, taken from a folder's store, segments a test photograph as it was
    scored."""

    def check(folder: Path, record: Path, scores: Path) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        found = json.loads(record.read_text())
        version = mlflow.MlflowClient().get_model_version(found["model"], found["version"])
        assert version.tags["dice"] == str(json.loads(scores.read_text())["dice"])
        assert "challenger" in version.aliases
        mask, scored = tmp_path / "mask.png", photographs / "predictions/T0001.png"
        with open_checkpoint(found["uri"]) as checkpoint:
            predict_scans(checkpoint, str(photographs / "data/refuge/imagesTs/T0001_0000.png"), str(mask))
        assert (read_label(mask).array == read_label(scored).array).all()

    return check


@pytest.mark.acceptance
def test_dvc_repro_registers_a_model_of_photographs(photographs: Path, comes_back: Check) -> None:
    assert len((photographs / "evaluation/cases.csv").read_text().splitlines()) == 1 + 2 * 2
    assert (photographs / "evaluation/overlays/T0001.png").is_file()
    comes_back(photographs, photographs / "registration.json", photographs / "metrics.json")


@pytest.mark.acceptance
def test_kubeflows_local_runner_finds_the_same(photographs: Path, tmp_path: Path, comes_back: Check) -> None:
    here = Here(tmp_path, photographs / "params.yaml", photographs.parent / "team")
    done = here.run(data_version(photographs))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    ran = here.latest()
    assert (ran / "evaluate/metrics").read_bytes() == (photographs / "metrics.json").read_bytes()
    assert "Dice cup" in metadata(ran / "evaluate", "metrics")
    comes_back(tmp_path, ran / "register/registration", ran / "evaluate/metrics")
