"""What a person with Python 3.11, git and make types first."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support.code_graph import ROOT


@pytest.mark.acceptance
def test_make_run_in_a_fresh_clone_ends_with_a_good_registered_model(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # Nor a word from a `make` that runs this test, which would have the one in the clone print its directories.
    kept_out = ("VIRTUAL_ENV", "MLFLOW_TRACKING_URI", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    environment = {key: value for key, value in os.environ.items() if key not in kept_out}
    done = subprocess.run(["make", "run"], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report, model, how = done.stdout.splitlines()[-3:]
    assert (clone / report.split()[-1]).is_file()
    assert re.fullmatch(r"model: +sss-phantom version 1", model)
    assert "mlflow ui" in how
    assert json.loads((clone / "metrics.json").read_text())["dice"] >= 0.80
    assert "note:" not in done.stdout, "the phantom made here is not the one that data.dvc names"
    again = subprocess.run(["make", "run"], cwd=clone, env=environment, capture_output=True, text=True, check=True)
    assert "Running stage" not in again.stdout
