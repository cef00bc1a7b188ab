"""What a source folder holds, and who goes where when it becomes a canonical data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sss_model.datasets.assignments import Assignment, read_splits
from sss_model.datasets.splits import FRACTIONS, Place, listed_splits, seeded_splits
from sss_model.errors import InputError


@dataclass(frozen=True)
class Scan:
    """One case as the source has it; `held_out` where the source itself calls it a test case."""

    case: str
    patient: str
    group: str
    image: Path
    label: Path | None
    held_out: bool = False


@dataclass(frozen=True)
class Inventory:
    """A source's scans, its classes, and what its data set should say about itself.

    Attributes:
        splits: a ``splits.csv`` that the source brings along.
    """

    labels: dict[str, int]
    scans: tuple[Scan, ...]
    channel: str
    file_ending: str
    licence: str = ""
    citation: str = ""
    splits: Path | None = None


def assign(inventory: Inventory, splits: Path | None, *, seed: int) -> list[Assignment]:
    """Give every scan its row of ``splits.csv``.

    Args:
        splits: a CSV file like ``splits.csv``, taken as it is, or a folder of lists (see `listed_splits`). Without it
            the source's own file counts, and without that labelled patients are split by `seed`: the source's own
            test patients stay that, unlabelled patients go to training, and unlabelled test scans, of no use to
            either, get no row.

    Raises:
        InputError: two scans of one name, or scans and splits that don't name the same cases or patients.
    """
    _check_named_once(inventory.scans)
    splits = splits or inventory.splits
    if splits is None:
        usable = [scan for scan in inventory.scans if scan.label or not scan.held_out]
        return _rows(usable, _seeded(usable, seed))
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
    held_out = {scan.patient for scan in scans if scan.held_out}
    groups = {scan.patient: scan.group for scan in scans if scan.label and scan.patient not in held_out}
    train, val, _ = FRACTIONS
    fractions = (train / (train + val), val / (train + val), 0.0) if held_out else FRACTIONS
    unlabelled = {scan.patient for scan in scans} - groups.keys() - held_out
    places = seeded_splits(groups, seed=seed, fractions=fractions)
    return places | dict.fromkeys(held_out, Place("test")) | dict.fromkeys(unlabelled, Place("train"))


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
