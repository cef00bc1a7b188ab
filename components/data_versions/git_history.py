"""What git knows of the file in which DVC records the data's version."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sss_model.errors import InputError


@dataclass(frozen=True)
class Commit:
    """A commit that changed the record; `date` is YYYY-MM-DD, `version` an md5 that ends in ``.dir``."""

    sha: str
    date: str
    message: str
    version: str


def in_git(record: Path) -> bool:
    """Whether a repository of git holds that folder."""
    return _git(record, "rev-parse", "--is-inside-work-tree") == "true"


def history(record: Path) -> list[Commit]:
    """The commits that gave the record a version, newest first; raises `InputError` where git knows none."""
    if not in_git(record):
        raise InputError(f"{record.parent}: not in a git repository; expected one, whose history holds the versions")
    log = _git(record, "log", "--format=%H%x09%cs%x09%s", "--", record.name) or ""
    found = []
    for line in log.splitlines():
        sha, date, message = line.split("\t", 2)
        if version := version_at(record, sha):
            found.append(Commit(sha, date, message, version))
    return found


def version_at(record: Path, revision: str) -> str | None:
    """The version at a revision of git; None where the record was not there, or there is no such revision."""
    text = _git(record, "show", f"{revision}:./{record.name}")
    return version_in(text) if text else None


def is_revision(record: Path, name: str) -> bool:
    """Whether git knows a commit by that name."""
    return _git(record, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}") is not None


def to_commit(record: Path) -> list[str]:
    """The files that `dvc add` wrote and git has not got: the record, and a new ``.gitignore``."""
    changed = _git(record, "status", "--porcelain", "--", record.name, ".gitignore") or ""
    return [line.split()[-1].rsplit("/", 1)[-1] for line in changed.splitlines()]


def version_in(text: str) -> str | None:
    """The md5 in the text of a ``.dvc`` file; None where it holds none."""
    try:
        outs: Any = yaml.safe_load(text)["outs"]
        return str(outs[0]["md5"])
    except (yaml.YAMLError, TypeError, KeyError, IndexError):
        return None


def _git(record: Path, *arguments: str) -> str | None:
    """What git answers in the record's folder; None where it refuses, or is not installed."""
    command = ["git", "-C", str(record.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        return None
    return done.stdout.strip("\n") if done.returncode == 0 else None
