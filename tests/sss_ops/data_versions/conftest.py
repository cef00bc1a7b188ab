"""A git repository with a data set, and a real object store for its remote."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.dvc_project import ENVIRONMENT, call
from support.object_store import object_store
from support.scans import write_canonical

from sss_ops.cli import main

Sss = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that leads to a server with the bucket sss-data."""
    with object_store(tmp_path_factory.mktemp("store"), ["sss-data"]) as (_, environment):
        yield environment


@pytest.fixture
def project(store: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, entered, whose remote is a prefix of its own in the bucket."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    for name, value in (store | {name: ENVIRONMENT[name] for name in names}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    folder = tmp_path / "project"
    write_canonical(folder / "data/heart")
    call(folder, "git", "init", "--quiet")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    settings = f"[core]\nremote = team\nanalytics = false\n['remote \"team\"']\nurl = s3://sss-data/{tmp_path.name}\n"
    (folder / ".dvc/config").write_text(settings)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sss(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sss:
    """Runs the command line here; exit code, output, and what is said of errors and warnings."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["sss", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
