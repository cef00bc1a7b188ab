from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from sss_model.data.manifest import write_manifest
from sss_ops.steps.evaluate import evaluate

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
