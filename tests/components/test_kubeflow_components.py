"""Each Kubeflow component's own function, with artifacts as plain files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from kfp import dsl
from support.dvc_project import call

from components.evaluate import evaluate
from components.register import register
from components.report_end import report_end
from components.train import train
from components.validate_splits import validate_splits
from components.version_data import version_data
from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import write_manifest
from sss_ops.recipe import recipe_text
from sss_ops.registry.evidence import EVIDENCE_TAG
from sss_ops.steps.train_distributed import train_on_gpus

IMAGE = "registry.example.com/sss@sha256:" + "1" * 64


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step sets for itself ends with its test."""
    monkeypatch.setenv("SSS_IMAGE_DIGEST", "")


@pytest.fixture
def given(phantom: Path, manifest: Any, recipe: Any, tmp_path: Path) -> dict[str, Any]:
    """What the first step hands on."""
    write_manifest(manifest, tmp_path / "manifest.csv")
    (tmp_path / "version.json").write_text(json.dumps({"name": "phantom", "version": "0" * 32}))
    return {
        "data": dsl.Dataset("data", str(phantom.parent), {"name": phantom.name}),
        "manifest": dsl.Dataset("manifest", str(tmp_path / "manifest.csv")),
        "record": dsl.Artifact("record", str(tmp_path / "version.json")),
        "recipe": recipe_text(recipe()),
        "data_version": "0" * 32,
        "image": IMAGE,
    }


def some(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names}


def test_version_data_settles_the_recipe_the_place_and_the_version(phantom: Path, recipe: Any, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    call(project, "dvc", "init", "--quiet", "--no-scm")
    shutil.copytree(phantom, project / "data/phantom")
    call(project, "dvc", "add", "--quiet", "data")
    call(project, "dvc", "remote", "add", "--quiet", "--default", "team", "../team")
    call(project, "dvc", "push", "--quiet")
    version = yaml.safe_load((project / "data.dvc").read_text())["outs"][0]["md5"]
    (tmp_path / "params.yaml").write_text(recipe_text(recipe()))
    untouched: dict[str, Any] = {
        **dict.fromkeys(("labelled_patients", "image_size", "steps", "min_labelled_patients", "min_test_patients"), 0),
        **dict.fromkeys(("minutes", "min_dice"), 0.0),
        **dict.fromkeys(("method", "encoder", "checkpoint", "experiment", "model_name"), ""),
    }
    outputs = {name: dsl.Dataset(name, str(tmp_path / name)) for name in ("data", "manifest", "record")}
    settled = version_data.python_func(
        **{**untouched, "method": "supervised"},
        **outputs,
        recipe=str(tmp_path / "params.yaml"),
        data_remote=str(tmp_path / "team"),
        data_version=version,
        pool="gke",
        gpus=1,
        nodes=1,
        spot=True,
        work="/sss/work",
        image=IMAGE,
    )
    assert settled[0] == version
    assert yaml.safe_load(settled[1])["train"]["method"] == "supervised"
    assert settled[2:4] == ("nvidia.com/gpu", "1")
    assert settled[4]["cloud.google.com/gke-spot"] == "true"
    assert outputs["data"].metadata == {"name": "phantom", "version": version}
    assert json.loads((tmp_path / "record").read_text())["version"] == version
    assert (tmp_path / "manifest").read_text().count("\n") == 13


def test_what_the_pool_can_t_give_fails_before_anything_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    component = version_data
    nothing = dict.fromkeys(component.component_spec.inputs, "")
    outputs = {name: dsl.Dataset(name, str(tmp_path / name)) for name in ("data", "manifest", "record")}
    with pytest.raises(SystemExit) as ended:
        component.python_func(**{**nothing, "pool": "bare", "gpus": 99, "nodes": 1, "spot": False}, **outputs)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: gpus: found 99, but a node of pool 'bare' has ")
    assert not list(tmp_path.iterdir())


def test_validate_splits_reports_and_hands_its_verdict_on(given: dict[str, Any], tmp_path: Path) -> None:
    inputs = some(given, "data", "manifest", "recipe", "data_version", "image")
    check = validate_splits.python_func
    assert check(**inputs, report=dsl.HTML("report", str(tmp_path / "good"))) == (True,)
    strict = yaml.safe_load(given["recipe"])
    strict["data_checks"]["min_test_patients"] = 99
    inputs["recipe"] = yaml.safe_dump(strict)
    assert check(**inputs, report=dsl.HTML("report", str(tmp_path / "bad"))) == (False,)
    assert "data check failed" in (tmp_path / "bad").read_text()


def test_train_refuses_data_that_did_not_pass(
    given: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train_step(given, tmp_path, passed=False)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: the data did not pass the data checks; expected a pass")


def test_train_makes_a_checkpoint_and_names_its_content(
    store: mlflow.MlflowClient, given: dict[str, Any], tmp_path: Path
) -> None:
    (content,), validation = train_step(given, tmp_path, passed=True)
    assert len(content) == 64
    meta = load_checkpoint(tmp_path / "checkpoint").meta
    assert meta.image_digest == IMAGE
    assert validation.metadata["Dice, validation"] == pytest.approx(meta.val_dice, abs=1e-4)
    assert not list((tmp_path / "work").glob("*/state.pt"))


def train_step(given: dict[str, Any], folder: Path, *, passed: bool) -> tuple[tuple[str], dsl.Metrics]:
    validation = dsl.Metrics("validation", str(folder / "validation"))
    outputs = train.python_func(
        **given,
        passed=passed,
        gpus=0,
        nodes=1,
        trainer={},
        work=str(folder / "work"),
        mlflow="",
        checkpoint=dsl.Model("checkpoint", str(folder / "checkpoint")),
        validation=validation,
    )
    return outputs, validation


def test_several_gpus_are_several_processes(store: mlflow.MlflowClient, given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(given["recipe"])
    train_on_gpus(
        params=tmp_path / "params.yaml",
        data_dir=Path(given["data"].path, "phantom"),
        manifest=tmp_path / "manifest.csv",
        data_version=tmp_path / "version.json",
        output=tmp_path / "checkpoint",
        work=str(tmp_path / "work"),
        gpus=2,
    )
    assert load_checkpoint(tmp_path / "checkpoint").meta.processes == 2


def test_evaluate_shows_scores_and_a_confusion_matrix(given: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    names = {"predictions": dsl.Artifact, "evaluation": dsl.Artifact, "report": dsl.HTML, "metrics": dsl.Metrics}
    outputs = {name: kind(name, str(tmp_path / name)) for name, kind in names.items()}
    outputs["confusion"] = dsl.ClassificationMetrics("confusion", str(tmp_path / "confusion"))
    evaluate.python_func(
        **some(given, "data", "manifest", "data_version", "image"),
        checkpoint=dsl.Model("checkpoint", str(checkpoint)),
        checkpoint_sha256="2" * 64,
        **outputs,
    )
    assert "Dice" in outputs["metrics"].metadata
    rows = outputs["confusion"].metadata["confusionMatrix"]["rows"]
    assert [sum(row["row"]) for row in rows] == pytest.approx([100] * len(rows), abs=0.1)
    assert (tmp_path / "report").read_text() == (tmp_path / "evaluation/report.html").read_text()


def test_register_makes_a_version_and_a_card(
    store: mlflow.MlflowClient, given: dict[str, Any], evaluated: Path, checkpoint: Path, tmp_path: Path
) -> None:
    made = register.python_func(
        **some(given, "recipe", "data_version", "image", "manifest"),
        record=dsl.Artifact("record", str(evaluated / "data_version.json")),
        checkpoint=dsl.Model("checkpoint", str(checkpoint)),
        checkpoint_sha256="2" * 64,
        metrics=dsl.Metrics("metrics", str(evaluated / "metrics.json")),
        evaluation=dsl.Artifact("evaluation", str(evaluated / "evaluation")),
        predictions=dsl.Artifact("predictions", str(evaluated / "predictions")),
        validation=dsl.HTML("validation", str(evaluated / "validation/report.html")),
        mlflow="",
        registration=dsl.Artifact("registration", str(tmp_path / "registration")),
        card=dsl.Markdown("card", str(tmp_path / "card")),
    )
    assert made == ("sss-phantom", "1")
    assert EVIDENCE_TAG in store.get_model_version("sss-phantom", "1").tags
    assert (tmp_path / "card").read_text().startswith("# sss-phantom\n")


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [("SUCCEEDED", None, "# The run succeeded"), ("FAILED", "out of memory", "Reason, from train: out of memory")],
)
def test_the_end_is_said_in_one_place(state: str, error: str | None, said: str, tmp_path: Path) -> None:
    status = dsl.PipelineTaskFinalStatus(state, "run", "train", None, error)
    summary = dsl.Markdown("summary", str(tmp_path / "summary"))
    report_end.python_func(status=status, model_name="m", mlflow="http://m", summary=summary)
    assert said in (tmp_path / "summary").read_text()
