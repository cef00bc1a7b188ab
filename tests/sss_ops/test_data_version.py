from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sss_model.data.phantom import write_phantom

DVC = [sys.executable, "-m", "dvc"]


def test_the_phantom_made_here_is_the_version_that_git_names(tmp_path: Path) -> None:
    named = yaml.safe_load(Path("data.dvc").read_text())["outs"][0]
    write_phantom(tmp_path / "data" / "phantom")
    files = sum(path.is_file() for path in (tmp_path / "data").rglob("*"))
    if named["nfiles"] != files:
        pytest.skip("data.dvc names other data than the phantom")
    subprocess.run([*DVC, "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True)
    subprocess.run([*DVC, "add", "--quiet", "--no-commit", "data"], cwd=tmp_path, check=True)
    assert yaml.safe_load((tmp_path / "data.dvc").read_text())["outs"][0]["md5"] == named["md5"]
