"""What a source folder holds, and who goes where when it becomes a canonical data set."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sss_model.data.splits import FRACTIONS, SPLITS, Assignment, Place, listed_splits, read_splits, seeded_splits
from sss_model.errors import InputError
from sss_model.io.tables import read_table

# The files of a source, however deep they lie.


def files_below(folder: Path) -> list[Path]:
    """All files, sorted, those of linked folders included; hidden ones and what macOS adds are left out."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name[0] != "." and name != "__MACOSX"]
        yield from (Path(root, name) for name in files if name[0] != ".")


# Whether a source is still what it was, told without reading it.


def state_of(source: Path) -> str:
    """A name for what lies there: other files, or the same ones changed, are another state.

    Args:
        source: a folder, a file, or nothing; files are known by their names, sizes and times.
    """
    digest = hashlib.sha256(str(source.resolve()).encode())
    for path in [source] if source.is_file() else files_below(source):
        if path.is_file():
            facts = path.stat()
            digest.update(f"\n{path.relative_to(source)} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.hexdigest()


# Whose case is whose: ``patients.csv``, or a part of the file's name.


PatientOf = Callable[[str], tuple[str, str]]
"""A case to its patient and group."""


def patients_of(folder: Path, pattern: str | None = None) -> PatientOf:
    """Who a case belongs to.

    Args:
        folder: may hold a ``patients.csv`` with the columns case, patient and, if splits are to be stratified, group.
        pattern: a regular expression whose first group is the patient, for case names that tell it. Without either, a
            case is its own patient.

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
    """One case as the source has it.

    Attributes:
        image, label: its files, or the folders of its slices; `label` is None for an unlabelled case.
        side: ``val`` or ``test`` where the source itself says so, else empty.
    """

    case: str
    patient: str
    group: str
    image: Path
    label: Path | None
    side: str = ""


Convert = Callable[[Scan, Path, Path | None], None]
"""Writes a scan's image and, where it has one, its label to the two paths."""


@dataclass(frozen=True)
class Inventory:
    """A source's scans, its classes, and what its data set should say about itself.

    Attributes:
        channel: nnU-Net's name of the input channel, or `sss_model.data.canonical.RGB`.
        convert: how a scan becomes an image and a label of `file_ending`; None where its bytes are copied as they are.
        notes: sentences that a person who imports it should read.
        splits: what the source brings along: a ``splits.csv``, or a folder of SSL4MIS's lists.
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


def assign(inventory: Inventory, splits: Path | None, *, seed: int) -> list[Assignment]:
    """Give every scan its row of ``splits.csv``.

    Args:
        splits: a CSV file like ``splits.csv``, taken as it is, or a folder of lists (see `listed_splits`). Without it
            the source's own file counts, and without that the validation and test patients that the source names stay,
            unlabelled patients go to training, and the other labelled patients are split by `seed`. Unlabelled scans
            of validation and test patients, of no use to any side, get no row.

    Raises:
        InputError: two scans of one name, a patient on two sides, or scans and splits that don't name the same cases or
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


def _rows(scans: Sequence[Scan], places: Mapping[str, Place]) -> list[Assignment]:
    return [
        Assignment(scan.case, scan.patient, scan.group, places[scan.patient].split, places[scan.patient].label_order)
        for scan in scans
    ]


def _seeded(scans: Sequence[Scan], seed: int) -> dict[str, Place]:
    sides = _sides(scans)
    held_out = {patient: Place(side) for patient, side in sides.items() if side}
    groups = {scan.patient: scan.group for scan in scans if scan.label and scan.patient not in held_out}
    unlabelled = dict.fromkeys(sides.keys() - groups.keys() - held_out.keys(), Place("train"))
    labelled = any(scan.label for scan in scans)
    places = seeded_splits(groups, seed=seed, fractions=_fractions(set(sides.values()))) if labelled else {}
    return unlabelled | places | held_out


def _sides(scans: Sequence[Scan]) -> dict[str, str]:
    """Patient to the side that the source gives it, or to nothing."""
    sides: dict[str, str] = {}
    for scan in scans:
        known = sides.setdefault(scan.patient, scan.side)
        if known != scan.side:
            raise InputError(
                f"patient {scan.patient}: the source has cases in {known or 'train'} and {scan.side or 'train'} "
                f"({scan.image}); expected all on one side"
            )
    return sides


def _fractions(taken: set[str]) -> tuple[float, float, float]:
    """The usual shares of the sides that nobody is on yet, summing to 1."""
    train, val, test = (share if side not in taken else 0.0 for side, share in zip(SPLITS, FRACTIONS, strict=True))
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
