"""What a source folder holds, and who goes where when it becomes a canonical data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sss_model.datasets.assignments import SPLITS, Assignment, read_splits
from sss_model.datasets.splits import FRACTIONS, Place, listed_splits, seeded_splits
from sss_model.errors import InputError


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
        channel: nnU-Net's name of the input channel, or `sss_model.datasets.canonical.RGB`.
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
