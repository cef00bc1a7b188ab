"""The scans found in a source folder, their patients, and the splits they get."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sss_model.data.splits import FRACTIONS, SPLITS, Assignment, PatientSplit, listed_splits, read_splits, seeded_splits
from sss_model.errors import InputError
from sss_model.io.tables import read_table


def files_below(folder: Path) -> list[Path]:
    """All files at any depth, sorted, linked folders included; hidden files and macOS's are left out."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name[0] != "." and name != "__MACOSX"]
        yield from (Path(root, name) for name in files if name[0] != ".")


def source_state(source: Path) -> str:
    """Hash of the names, sizes and times of a source's files: it changes when they do.

    Args:
        source: a folder, a file, or a path where nothing is.
    """
    digest = hashlib.sha256(str(source.resolve()).encode())
    for path in [source] if source.is_file() else files_below(source):
        if path.is_file():
            facts = path.stat()
            digest.update(f"\n{path.relative_to(source)} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.hexdigest()


PatientOf = Callable[[str], tuple[str, str]]
"""Maps a case to its patient and group."""


def patients_of(folder: Path, pattern: str | None = None) -> PatientOf:
    """Find the patient of each case, from ``patients.csv`` or the case's name.

    Args:
        folder: may hold a ``patients.csv`` with the columns case, patient and, if splits are to be stratified, group.
        pattern: a regular expression whose first group is the patient, in the case's name. Without either, a case
            is its own patient.

    Raises:
        InputError: an invalid file or pattern; the function returned raises it for a case that they don't cover.
    """
    path = folder / "patients.csv"
    if path.is_file():
        return _from_table(_read(path), path)
    return _from_name(pattern) if pattern else lambda case: (case, "")


def _from_table(rows: dict[str, tuple[str, str]], path: Path) -> PatientOf:
    def look_up(case: str) -> tuple[str, str]:
        if case not in rows:
            raise InputError(f"{path}: case {case} is not in patients.csv; expected a row for every case")
        return rows[case]

    return look_up


def _from_name(pattern: str) -> PatientOf:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"patient: {pattern!r} is no regular expression ({error}); expected one like '(.+)_'"
        ) from None
    if compiled.groups < 1:
        raise InputError(
            f"patient: {pattern!r} has no group in brackets; expected one around the patient, like '(.+)_'"
        )

    def match(case: str) -> tuple[str, str]:
        found = compiled.match(case)
        if not found or not found[1]:
            raise InputError(f"case {case}: its name doesn't match {pattern!r}; expected one that names the patient")
        return found[1], ""

    return match


def _read(path: Path) -> dict[str, tuple[str, str]]:
    lines = read_table(path, ("case", "patient"), expected="a CSV file of case,patient,group").lines
    return {cells["case"]: (cells["patient"], cells.get("group", "")) for _, cells in lines}


@dataclass(frozen=True)
class Scan:
    """One case of a source.

    Attributes:
        image, label: its files, or the folders of its slices; `label` is None for an unlabelled case.
        split: ``val`` or ``test`` where the source itself says so, else empty.
    """

    case: str
    patient: str
    group: str
    image: Path
    label: Path | None
    split: str = ""


Convert = Callable[[Scan, Path, Path | None], None]
"""Writes a scan's image and, where it has one, its label to the two paths."""


@dataclass(frozen=True)
class Inventory:
    """A source's scans, its classes, and the description for its data set.

    Attributes:
        channel: nnU-Net's name of the input channel, or `sss_model.data.canonical.RGB`.
        convert: how a scan becomes an image and a label of `file_ending`; None where its bytes are copied as they are.
        notes: sentences for the person who imports it.
        splits: the source's own ``splits.csv`` or folder of SSL4MIS's lists.
    """

    labels: dict[str, int]
    scans: tuple[Scan, ...]
    channel: str
    file_ending: str
    licence: str = ""
    citation: str = ""
    convert: Convert | None = None
    notes: tuple[str, ...] = ()
    splits: Path | None = None


def assign_splits(inventory: Inventory, splits: Path | None, *, seed: int) -> list[Assignment]:
    """Give every scan its row of ``splits.csv``.

    Args:
        splits: a CSV file like ``splits.csv``, taken as it is, or a folder of lists (see `listed_splits`). Without it
            the source's own file counts. Without that, validation and test patients that the source names stay so,
            unlabelled patients go to training, and the other labelled patients are split by `seed`. Unlabelled scans
            of validation and test patients are of no use and get no row.

    Raises:
        InputError: two scans of one name, a patient in two splits, or scans and splits that name different cases or
            patients.
    """
    _check_named_once(inventory.scans)
    splits = splits or inventory.splits
    if splits is None:
        places = _seeded(inventory.scans, seed)
        return _rows([scan for scan in inventory.scans if scan.label or places[scan.patient].split == "train"], places)
    if splits.is_dir():
        places = listed_splits(splits)
        _check_same("patient", {scan.patient for scan in inventory.scans}, set(places), splits)
        return _rows(inventory.scans, places)
    rows = read_splits(splits)
    _check_same("case", {scan.case for scan in inventory.scans}, {row.case for row in rows}, splits)
    return rows


def _rows(scans: Sequence[Scan], places: Mapping[str, PatientSplit]) -> list[Assignment]:
    return [
        Assignment(scan.case, scan.patient, scan.group, places[scan.patient].split, places[scan.patient].label_order)
        for scan in scans
    ]


def _seeded(scans: Sequence[Scan], seed: int) -> dict[str, PatientSplit]:
    fixed = _fixed_splits(scans)
    held_out = {patient: PatientSplit(split) for patient, split in fixed.items() if split}
    groups = {scan.patient: scan.group for scan in scans if scan.label and scan.patient not in held_out}
    unlabelled = dict.fromkeys(fixed.keys() - groups.keys() - held_out.keys(), PatientSplit("train"))
    labelled = any(scan.label for scan in scans)
    places = seeded_splits(groups, seed=seed, fractions=_fractions(set(fixed.values()))) if labelled else {}
    return unlabelled | places | held_out


def _fixed_splits(scans: Sequence[Scan]) -> dict[str, str]:
    """Patient to the split that the source gives it, or to an empty text."""
    fixed: dict[str, str] = {}
    for scan in scans:
        known = fixed.setdefault(scan.patient, scan.split)
        if known != scan.split:
            raise InputError(
                f"patient {scan.patient}: the source has cases in {known or 'train'} and {scan.split or 'train'} "
                f"({scan.image}); expected all on one side"
            )
    return fixed


def _fractions(taken: set[str]) -> tuple[float, float, float]:
    """The usual shares of the splits that are still empty, summing to 1."""
    train, val, test = (share if split not in taken else 0.0 for split, share in zip(SPLITS, FRACTIONS, strict=True))
    whole = train + val + test
    return train / whole, val / whole, test / whole


def _check_named_once(scans: Sequence[Scan]) -> None:
    first: dict[str, Scan] = {}
    for scan in scans:
        if scan.case in first:
            raise InputError(
                f"case {scan.case}: found as {first[scan.case].image} and {scan.image}; expected one of them"
            )
        first[scan.case] = scan


def _check_same(what: str, in_source: set[str], in_splits: set[str], splits: Path) -> None:
    for names, found, wanted in (
        (in_source - in_splits, "the source", "the splits"),
        (in_splits - in_source, "the splits", "the source"),
    ):
        if names:
            raise InputError(
                f"{splits}: {what} {min(names)} is in {found} and not in {wanted} ({len(names)} such); expected in both"
            )
