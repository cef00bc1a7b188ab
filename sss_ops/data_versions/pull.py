"""Fetch a run's scans: a version from a DVC remote, or the built-in phantom."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

import yaml

from sss_model.errors import InputError
from sss_ops.data_versions.versions import tracked_version

PHANTOM = "phantom"


def fetch_data(*, remote: str, version: str, name: str, into: Path) -> str:
    """Put one data set of a version into a folder.

    A container has no git, so this makes a temporary DVC repository beside `into`.

    Args:
        remote: address of the DVC remote, such as ``s3://bucket/prefix`` (endpoint and credentials come from the
            environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or a folder.
        version: the md5 in ``data.dvc``; ``phantom`` makes the synthetic cohort instead and needs no remote.
        name: the data set, a folder of ``data/``.
        into: folder that will hold ``name/``.

    Returns:
        The version, the md5 that DVC knows it by.

    Raises:
        InputError: DVC can't get that version; its own reason is in the sentence.
    """
    into.mkdir(parents=True, exist_ok=True)
    # On the same disk, so that files can be moved; a pod's /tmp may be memory.
    with tempfile.TemporaryDirectory(prefix=".dvc-", dir=into.parent) as folder:
        repository = Path(folder)
        _configure(repository, remote)
        if version == PHANTOM:
            found = _make_phantom(repository, name)
        else:
            found = _pull(repository, remote=remote, version=version, name=name)
        shutil.move(repository / "data" / name, into / name)
    return found


def _make_phantom(repository: Path, name: str) -> str:
    from sss_model.data.importing import import_dataset

    if name != PHANTOM:
        raise InputError(f"data_version: phantom, but the recipe is for {name}; expected the version of {name} in DVC")
    import_dataset(PHANTOM, None, repository / "data" / PHANTOM)
    _dvc(repository, "add", "--quiet", "--no-commit", "data")
    return tracked_version(repository / "data.dvc")


def _pull(repository: Path, *, remote: str, version: str, name: str) -> str:
    md5 = f"{version.removesuffix('.dir')}.dir"
    record = {"outs": [{"md5": md5, "hash": "md5", "path": "data"}]}
    (repository / "data.dvc").write_text(yaml.safe_dump(record), encoding="utf-8")
    _dvc(repository, "pull", "--quiet", f"data/{name}", what=f"{remote}: version {md5} can't be had")
    if not (repository / "data" / name).is_dir():
        raise InputError(f"{remote}: version {md5} holds no data set {name}; expected the folder data/{name} in it")
    return md5


def _configure(repository: Path, remote: str) -> None:
    """Make a folder a DVC repository without git; `dvc init` and the like would take seconds each."""
    config = ConfigParser(interpolation=None)
    config["core"] = {"no_scm": "true", "analytics": "false", "remote": "data"}
    # Links, because a copy out of DVC's cache would take the disk space twice.
    config["cache"] = {"type": "reflink,hardlink,copy"}
    config["'remote \"data\"'"] = {"url": remote}
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and remote.startswith("s3://"):
        config["'remote \"data\"'"]["endpointurl"] = endpoint
    (repository / ".dvc").mkdir()
    with (repository / ".dvc/config").open("w", encoding="utf-8") as file:
        config.write(file)


def _dvc(repository: Path, *arguments: str, what: str = "the scans can't be versioned") -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{what} ({_reason(done.stderr)}); expected a remote and a version that DVC can pull")


def _reason(stderr: str) -> str:
    """DVC's own words for what went wrong."""
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return " ".join((lines or stderr.strip().splitlines() or ["no reason given"])[0].split())
