"""A copy of this project with a small cohort and a quick recipe, for `dvc repro` to run in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from sss_model.config import Config, dump_config
from support.paths import ROOT

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    **dict.fromkeys(("DVC_NO_ANALYTICS", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"), "true"),
    **{f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
ENVIRONMENT.pop("MLFLOW_TRACKING_URI", None)


def make_project(folder: Path, *, scans: Path, recipe: Config) -> Path:
    """The project as git has it, with other data, which DVC tracks, and another recipe."""
    for name in ("sss_model", "sss_ops", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "dvc.yaml"):
        _copy(ROOT / name, folder / name)
    _copy(scans, folder / "data" / recipe.data.name)
    (folder / "params.yaml").write_text(yaml.safe_dump(dump_config(recipe), sort_keys=False))
    call(folder, "git", "init", "--quiet")
    call(folder, "dvc", "add", "--quiet", "data")
    return folder


def call(project: Path, *command: str, **environment: str) -> str:
    """Run a command there and return what it says; it must succeed."""
    done = subprocess.run(command, cwd=project, env=ENVIRONMENT | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)
