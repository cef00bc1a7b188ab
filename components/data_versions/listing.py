"""The versions that git's history knows, and which one a name means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.data_versions import git_history
from components.data_versions.cases import read_contents
from components.data_versions.store import MissingObjectError, Store
from sss_model.errors import InputError

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_SHORTEST_BEGINNING = 4


@dataclass(frozen=True)
class Row:
    """One version in git's history, or the present one where it isn't committed (no commit and date).

    Attributes:
        cases, patients: None where the version's listing is not on this machine, or names no patients.
        present: it is what the record says now.
    """

    present: bool
    date: str
    commit: str
    version: str
    cases: int | None
    patients: int | None
    message: str


def list_versions(record: Path, store: Store, *, ask_remote: bool = False) -> list[Row]:
    """The versions, newest first.

    Args:
        record: DVC's file, such as ``data.dvc``.
        ask_remote: get the listings that the cache lacks from the remote, to count cases in.

    Raises:
        InputError: no git repository, no version in it, or the remote refuses.
    """
    commits = git_history.history(record)
    now = present_version(record)
    if not commits and now is None:
        raise InputError(f"{record}: git's history has no version of it; expected one, run `sss data add`")
    named = [(commit.date, commit.sha[:10], commit.version, commit.message) for commit in commits]
    if now is not None and now not in {commit.version for commit in commits}:
        named.insert(0, ("", "", now, "not committed"))
    first = next((number for number, (_, _, version, _) in enumerate(named) if version == now), None)
    return [
        Row(number == first, date, sha, version, *_counts(version, store, ask_remote), message)
        for number, (date, sha, version, message) in enumerate(named)
    ]


def present_version(record: Path) -> str | None:
    """What the record says now; None where it is not there."""
    return git_history.version_in(record.read_text(encoding="utf-8")) if record.is_file() else None


def resolve(name: str | None, record: Path) -> str:
    """The version that a person means.

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
    elif git_history.is_revision(record, name):
        found = [git_history.version_at(record, name)]
    else:
        found = [*sorted(set(_beginning_with(name, record)))]
    versions = [version for version in found if version]
    if len(versions) == 1:
        return versions[0]
    what = f"means {' and '.join(versions)}" if versions else f"no version of {record.name} is known by it"
    raise InputError(f"{name or record}: {what}; expected a revision of git that has one, or an md5")


def _beginning_with(name: str, record: Path) -> Iterator[str]:
    if len(name) >= _SHORTEST_BEGINNING and git_history.in_git(record):
        yield from (commit.version for commit in git_history.history(record) if commit.version.startswith(name))


def _counts(version: str, store: Store, ask_remote: bool) -> tuple[int | None, int | None]:
    try:
        contents = read_contents(version, store.read if ask_remote else store.read_cached)
    except MissingObjectError:
        return None, None
    return len(contents.cases), len(contents.patients) or None
