"""The cases of one version, from DVC's listing of its files; no scan is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sss_model.data.splits import Assignment, parse_splits
from sss_model.errors import InputError
from sss_model.io import FILE_ENDINGS

_KINDS = {"imagesTr": "image", "imagesTs": "image", "labelsTr": "label", "labelsTs": "label"}
_SPLITS = "splits.csv"

Read = Callable[[str], bytes]
"""An object's bytes by its md5."""


@dataclass(frozen=True)
class VersionedCase:
    """A case in a version.

    Attributes:
        dataset: folder of the data set, relative to the tracked folder; empty where that is one itself.
        files: kind and name of each file to its md5.
        row: its row of splits.csv; None where there is none, or the file can't be read.
    """

    dataset: str
    case: str
    files: Mapping[str, str]
    row: Assignment | None

    @property
    def patient(self) -> tuple[str, str] | None:
        """Data set and name, since two data sets may call theirs the same."""
        return (self.dataset, self.row.patient) if self.row else None


@dataclass(frozen=True)
class Contents:
    """A version's cases by data set and name, and its other files by path."""

    cases: dict[tuple[str, str], VersionedCase] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    @property
    def patients(self) -> set[tuple[str, str]]:
        """Patients that splits.csv names for the cases."""
        return {case.patient for case in self.cases.values() if case.patient}


def read_contents(version: str, read: Read) -> Contents:
    """Read the contents of a version.

    Args:
        version: an md5 that ends in ``.dir``.
        read: gets an object; called for the listing and for each data set's splits.csv.

    Raises:
        InputError: as `read` does, or the object is no listing.
    """
    return contents_of(_listing(version, read(version)), read)


def contents_of(listing: Mapping[str, str], read: Read) -> Contents:
    """Read the contents of a listing: paths with forward slashes to md5s."""
    files: dict[tuple[str, str], dict[str, str]] = {}
    others = {}
    for path, md5 in listing.items():
        found = _place(PurePosixPath(path))
        if found:
            dataset, case, name = found
            files.setdefault((dataset, case), {})[name] = md5
        else:
            others[path] = md5
    rows = _rows({dataset for dataset, _ in files}, listing, read)
    cases = {key: VersionedCase(*key, files[key], rows.get(key)) for key in sorted(files)}
    return Contents(cases, others)


def _listing(version: str, data: bytes) -> dict[str, str]:
    try:
        return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(data)}
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{version}: not a listing of files; expected what DVC writes for a folder") from None


def _place(path: PurePosixPath) -> tuple[str, str, str] | None:
    """Data set, case, and kind and name of a file of a case; None for any other."""
    kind = _KINDS.get(path.parent.name)
    ending = next((ending for ending in FILE_ENDINGS if path.name.endswith(ending)), None)
    if kind is None or ending is None:
        return None
    stem = path.name.removesuffix(ending)
    # An image's name ends in its channel, _0000.
    case = stem.rpartition("_")[0] if kind == "image" else stem
    dataset = path.parent.parent.as_posix()
    return ("" if dataset == "." else dataset, case or stem, f"{kind} {path.parent.name}/{path.name}")


def _rows(datasets: set[str], listing: Mapping[str, str], read: Read) -> dict[tuple[str, str], Assignment]:
    rows: dict[tuple[str, str], Assignment] = {}
    for dataset in datasets:
        path = f"{dataset}/{_SPLITS}" if dataset else _SPLITS
        if path in listing:
            rows |= {(dataset, row.case): row for row in _readable(read(listing[path]), path)}
    return rows


def _readable(data: bytes, path: str) -> list[Assignment]:
    # A version may hold a splits.csv that is wrong: its patients are then unknown, and the data checks report it.
    try:
        return parse_splits(data, Path(path))
    except InputError:
        return []
