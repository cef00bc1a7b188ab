from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.registered_models import evaluate_in

from sss_model.data.manifest import write_manifest


@pytest.fixture
def folder(tmp_path, checkpoint, phantom, manifest) -> Path:
    shutil.copytree(checkpoint, tmp_path / "checkpoint")
    write_manifest(manifest, tmp_path / "manifest.csv")
    evaluate_in(tmp_path, data=phantom)
    return tmp_path


def audit(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sss_ops.audit", str(folder)], capture_output=True, text=True, check=False
    )


def test_a_whole_run_ends_well_and_a_forged_one_with_a_sentence_for_each_finding(folder):
    whole = audit(folder)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "nothing contradicts the record" in whole.stdout
    assert "saw as labelled" in whole.stdout
    (folder / "evaluation/report.html").write_text("all is well")
    next((folder / "predictions").iterdir()).unlink()
    forged = audit(folder)
    assert forged.returncode == 2
    assert [line.split(":")[0] for line in forged.stderr.splitlines()] == ["error", "error"]
    assert "nothing contradicts" not in forged.stdout


def test_a_folder_without_an_evaluation_ends_with_one_sentence(tmp_path):
    found = audit(tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith("error: ")
    assert len(found.stderr.splitlines()) == 1
