"""Versions in git's history of DVC's record (``data.dvc``), and the version that a name means."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sss_model.errors import InputError
from sss_ops.data_versions.contents import read_contents
from sss_ops.data_versions.store import DvcStore, MissingObjectError


@dataclass(frozen=True)
class Commit:
    """A commit that changed the record; `date` is YYYY-MM-DD, `version` an md5 that ends in ``.dir``."""

    sha: str
    date: str
    message: str
    version: str


def in_git(record: Path) -> bool:
    """Whether the record's folder is in a git repository."""
    return _git(record, "rev-parse", "--is-inside-work-tree") == "true"


def version_history(record: Path) -> list[Commit]:
    """The commits that gave the record a version, newest first; raises `InputError` where git knows none."""
    if not in_git(record):
        raise InputError(f"{record.parent}: not in a git repository; expected one, whose history holds the versions")
    log = _git(record, "log", "--format=%H%x09%cs%x09%s", "--", record.name) or ""
    found = []
    for line in log.splitlines():
        sha, date, message = line.split("\t", 2)
        if version := data_version_at(record, sha):
            found.append(Commit(sha, date, message, version))
    return found


def data_version_at(record: Path, revision: str) -> str | None:
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


def tracked_version(record: Path) -> str:
    """The md5 that DVC recorded for the data folder; raises `InputError` where there is none."""
    if not record.is_file():
        raise InputError(f"{record}: no such file; expected DVC to track the data, run `dvc add data`")
    version = present_version(record)
    if version is None:
        raise InputError(f"{record}: records no md5; expected what `dvc add data` writes")
    return version


def version_in(text: str) -> str | None:
    """The md5 in the text of a ``.dvc`` file; None where it holds none.

    >>> version_in("outs:\\n- md5: 0123.dir\\n  path: data\\n")
    '0123.dir'
    """
    try:
        outs: Any = yaml.safe_load(text)["outs"]
        return str(outs[0]["md5"])
    except (yaml.YAMLError, TypeError, KeyError, IndexError):
        return None


def _git(record: Path, *arguments: str) -> str | None:
    """Git's output in the record's folder; None where it fails or is not installed."""
    command = ["git", "-C", str(record.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        return None
    return done.stdout.strip("\n") if done.returncode == 0 else None


_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_SHORTEST_BEGINNING = 4


@dataclass(frozen=True)
class DataVersionRow:
    """One version in git's history, or the present one where it isn't committed (no commit and date).

    Attributes:
        cases, patients: None where the version's listing is not on this machine, or names no patients.
        present: whether the record names it now.
    """

    present: bool
    date: str
    commit: str
    version: str
    cases: int | None
    patients: int | None
    message: str


def list_data_versions(record: Path, store: DvcStore, *, ask_remote: bool = False) -> list[DataVersionRow]:
    """The versions, newest first.

    Args:
        record: DVC's file, such as ``data.dvc``.
        ask_remote: get the listings that the cache lacks from the remote, to count cases in.

    Raises:
        InputError: no git repository, no version in it, or the remote refuses.
    """
    commits = version_history(record)
    now = present_version(record)
    if not commits and now is None:
        raise InputError(f"{record}: git's history has no version of it; expected one, run `sss data add`")
    named = [(commit.date, commit.sha[:10], commit.version, commit.message) for commit in commits]
    if now is not None and now not in {commit.version for commit in commits}:
        named.insert(0, ("", "", now, "not committed"))
    first = next((number for number, (_, _, version, _) in enumerate(named) if version == now), None)
    return [
        DataVersionRow(number == first, date, sha, version, *_counts(version, store, ask_remote), message)
        for number, (date, sha, version, message) in enumerate(named)
    ]


def present_version(record: Path) -> str | None:
    """The version that the record names now; None where it is missing or names none."""
    return version_in(record.read_text(encoding="utf-8", errors="replace")) if record.is_file() else None


def resolve_version(name: str | None, record: Path) -> str:
    """Find the version that a name means.

    Args:
        name: a revision of git, an md5 with or without ``.dir``, or the beginning of one that git's history has; None
            means the present version.

    Raises:
        InputError: it is none of these, or means several versions.
    """
    if name is None:
        found: list[str | None] = [present_version(record)]
    elif _MD5.fullmatch(name):
        found = [f"{name.removesuffix('.dir')}.dir"]
    elif is_revision(record, name):
        found = [data_version_at(record, name)]
    else:
        found = [*sorted(set(_beginning_with(name, record)))]
    versions = [version for version in found if version]
    if len(versions) == 1:
        return versions[0]
    what = f"means {' and '.join(versions)}" if versions else f"no version of {record.name} is known by it"
    raise InputError(f"{name or record}: {what}; expected a revision of git that has one, or an md5")


def _beginning_with(name: str, record: Path) -> Iterator[str]:
    if len(name) >= _SHORTEST_BEGINNING and in_git(record):
        yield from (commit.version for commit in version_history(record) if commit.version.startswith(name))


def _counts(version: str, store: DvcStore, ask_remote: bool) -> tuple[int | None, int | None]:
    try:
        contents = read_contents(version, store.read if ask_remote else store.read_cached)
    except MissingObjectError:
        return None, None
    return len(contents.cases), len(contents.patients) or None
