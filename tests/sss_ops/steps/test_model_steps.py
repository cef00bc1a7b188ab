"""The steps evaluate and register."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.pyfunc.scoring_server import invocations
from support.code_graph import files_behind
from support.paths import ROOT

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import write_manifest
from sss_model.errors import InputError
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume, volume_from_bytes
from sss_ops.steps.evaluate import evaluate
from sss_ops.steps.register import register

REPOSITORY = ROOT


@pytest.fixture
def paths(tmp_path, checkpoint, phantom, manifest) -> dict[str, Path]:
    write_manifest(manifest, tmp_path / "manifest.csv")
    return {
        "checkpoint": checkpoint,
        "data_dir": phantom,
        "manifest": tmp_path / "manifest.csv",
        "predictions": tmp_path / "predictions",
        "output": tmp_path / "evaluation",
        "metrics": tmp_path / "metrics.json",
    }


def test_validation_patients_can_be_scored_too(paths, manifest):
    summary = evaluate(**paths, split="val")
    assert summary["split"] == "val"
    assert {path.name for path in paths["predictions"].iterdir()} == {
        f"{case.case}.nii.gz" for case in manifest.split("val")
    }
    assert json.loads((paths["output"] / "summary.json").read_text()) == summary


def test_the_command_says_how_good_it_is_and_where_the_report_lies(paths, capsys):
    evaluate(**paths)
    found = json.loads((paths["output"] / "summary.json").read_text())
    last = capsys.readouterr().out.splitlines()[-1]
    report = paths["output"] / "report.html"
    assert last == f"mean Dice {found['dice']:.3f} on {found['cases']} test scans, report in {report}"


def test_patients_that_training_saw_end_the_command_line_with_one_sentence(tmp_path, paths, manifest):
    folder = tmp_path / "checkpoint"
    shutil.copytree(paths["checkpoint"], folder)
    meta = json.loads((folder / "meta.json").read_text())
    meta["patients"]["labelled"] = [manifest.split("test")[0].patient]
    (folder / "meta.json").write_text(json.dumps(meta))
    options = [
        part
        for name, path in {**paths, "checkpoint": folder}.items()
        for part in (f"--{name.replace('_', '-')}", str(path))
    ]
    result = subprocess.run(
        [sys.executable, "-m", "sss_ops", "evaluate", *options],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.fullmatch(r"error: split test: the checkpoint saw \S+ as labelled patients; expected .*\n", result.stderr)
    assert not paths["metrics"].exists()


def registered_from(checkpoint: Path, steps: Path, output: Path, params: Path | None = None) -> dict[str, str]:
    register(
        checkpoint=checkpoint,
        metrics=steps / "metrics.json",
        evaluation=steps / "evaluation",
        validation=steps / "validation/report.html",
        data_version=steps / "data_version.json",
        params=params or steps / "params.yaml",
        output=output,
        card=output.with_name("model_card.md"),
        manifest=None,
        predictions=None,
    )
    return json.loads(output.read_text())


@pytest.fixture
def registered(store: mlflow.MlflowClient, checkpoint: Path, steps: Path, tmp_path: Path) -> dict[str, str]:
    return registered_from(checkpoint, steps, tmp_path / "registration.json")


def test_a_registered_model_answers_as_the_checkpoint_does(
    store: mlflow.MlflowClient, registered: dict[str, str], checkpoint: Path, phantom: Path
) -> None:
    scan = next((phantom / "imagesTs").iterdir())
    model = mlflow.pyfunc.load_model(registered["uri"])
    answer = model.predict(pd.DataFrame({"nifti": [scan.read_bytes(), scan.read_bytes()]}))
    expected = Predictor.load(checkpoint)(read_volume(scan))
    for data in answer["mask"]:
        mask = volume_from_bytes(data, "mask")
        assert np.array_equal(mask.array, expected.array)
        assert np.allclose(mask.affine, expected.affine)


def test_a_server_of_the_model_takes_and_gives_base64_in_json(
    store: mlflow.MlflowClient, registered: dict[str, str], checkpoint: Path, phantom: Path
) -> None:
    scan = next((phantom / "imagesTs").iterdir())
    model = mlflow.pyfunc.load_model(registered["uri"])
    question = {"dataframe_records": [{"nifti": base64.b64encode(scan.read_bytes()).decode()}]}
    answer = invocations(json.dumps(question), "application/json", model, model.metadata.get_input_schema())
    mask = volume_from_bytes(base64.b64decode(json.loads(answer.response)["predictions"][0]["mask"]), "mask")
    assert np.array_equal(mask.array, Predictor.load(checkpoint)(read_volume(scan)).array)


def test_the_run_and_the_version_say_what_the_model_is(
    store: mlflow.MlflowClient, registered: dict[str, str], checkpoint: Path
) -> None:
    meta = load_checkpoint(checkpoint).meta
    version = store.get_model_version("sss-phantom", registered["version"])
    assert version.tags["data_version"] == meta.data_version
    assert version.tags["manifest_sha256"] == meta.manifest_sha256
    assert version.tags.get("git_revision") == meta.git_revision
    assert (version.tags["dice"], version.tags["dice_cavity"]) == ("0.7", "0.8")
    assert version.aliases == ["challenger"]

    run = store.get_run(registered["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.method"] == meta.method
    assert run.data.metrics["test.per_class.wall.dice"] == 0.6
    assert run.inputs.dataset_inputs[0].dataset.digest == "0" * 32 + ".dir"
    files = [
        file.path for folder in ("evaluation", "validation") for file in store.list_artifacts(run.info.run_id, folder)
    ]
    assert set(files) == {"evaluation/report.html", "evaluation/cases.csv", "validation/report.html"}


def test_the_card_is_the_version_s_description_and_says_how_good_it_is(
    store: mlflow.MlflowClient, registered: dict[str, str], tmp_path: Path
) -> None:
    card = (tmp_path / "model_card.md").read_text()
    assert store.get_model_version("sss-phantom", registered["version"]).description == card
    assert "| cavity | 0.800 | 4.0 | 1.00 | 0.790 |" in card
    assert "Of 4 structures, 1 missed and 0 invented." in card
    assert "2 scans of 1 test patient," in card


def test_a_model_below_the_least_dice_is_not_registered(
    store: mlflow.MlflowClient, checkpoint: Path, steps: Path, tmp_path: Path
) -> None:
    recipe = yaml.safe_load((steps / "params.yaml").read_text())
    recipe["register"]["min_dice"] = 0.71
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(InputError, match=r"mean test Dice 0\.700: not registered; expected at least 0\.71"):
        registered_from(checkpoint, steps, tmp_path / "registration.json", params=tmp_path / "params.yaml")
    assert store.search_registered_models() == []


def test_a_store_that_lacks_the_training_run_is_given_its_curves(
    store: mlflow.MlflowClient, registered: dict[str, str], checkpoint: Path
) -> None:
    history = load_checkpoint(checkpoint).history[["step", "val_dice"]].dropna()
    logged = store.get_metric_history(registered["run_id"], "val_dice")
    assert [(point.step, point.value) for point in logged] == [tuple(row) for row in history.itertuples(index=False)]


def test_registering_again_makes_the_next_version_the_challenger(
    store: mlflow.MlflowClient, registered: dict[str, str], checkpoint: Path, steps: Path, tmp_path: Path
) -> None:
    again = registered_from(checkpoint, steps, tmp_path / "again.json")
    assert (registered["version"], again["version"]) == ("1", "2")
    assert str(store.get_model_version_by_alias("sss-phantom", "challenger").version) == "2"


def test_the_model_brings_its_code_and_its_pinned_requirements(
    store: mlflow.MlflowClient, registered: dict[str, str]
) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(registered["uri"]))
    served = ROOT / "sss_ops/serving/pyfunc.py"
    for file in files_behind(served) - {served}:
        assert (folder / "code" / file.relative_to(ROOT)).is_file()
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in requirements)
    assert {"torch", "sam2", "nibabel"} <= {line.split("==")[0] for line in requirements}


def test_a_missing_report_is_refused_before_anything_is_registered(
    store: mlflow.MlflowClient, checkpoint: Path, steps: Path, tmp_path: Path
) -> None:
    shutil.copy(steps / "evaluation/summary.json", tmp_path)
    with pytest.raises(InputError, match=r"report\.html: no such file"):
        register(
            checkpoint=checkpoint,
            metrics=steps / "metrics.json",
            evaluation=tmp_path,
            validation=steps / "validation/report.html",
            data_version=steps / "data_version.json",
            params=steps / "params.yaml",
            output=tmp_path / "registration.json",
            card=tmp_path / "model_card.md",
        )
    assert not (tmp_path / "registration.json").exists()
    assert store.search_registered_models() == []
