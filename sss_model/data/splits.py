"""Patients to train, validation and test: seeded, or as the literature's lists say."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io.tables import Line, cells_of, columns_of, parse_table, table_bytes

# Who is on which side of the split: ``splits.csv``.


SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Assignment:
    """One row of ``splits.csv``: whose case it is, and the side of the split it is on.

    Attributes:
        group: what splits are stratified by, a diagnosis for instance; may be empty.
        split: train, val or test.
        label_order: the patient's place in the queue of training patients that lend their labels, from 0; None where
            that means nothing (validation, test, unlabelled patients).
    """

    case: str
    patient: str
    group: str
    split: str
    label_order: int | None


def read_splits(path: Path) -> list[Assignment]:
    """Read ``splits.csv``; raises `InputError` for missing columns, wrong values, or a patient in two splits."""
    try:
        return parse_splits(path.read_bytes(), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {_EXPECTED}") from None


def parse_splits(data: bytes, where: Path) -> list[Assignment]:
    """The same for the bytes of a ``splits.csv``; `where` opens the sentence of an error."""
    table = parse_table(data, _COLUMNS, where=where, expected=_EXPECTED)
    splits = [_assignment(line) for line in table.lines]
    _check_one_split_per_patient(splits, where)
    return splits


def write_splits(splits: Iterable[Assignment], path: Path) -> None:
    """Write ``splits.csv``, sorted by case."""
    rows = sorted(splits, key=lambda row: row.case)
    write_atomically(path, table_bytes(_COLUMNS, map(cells_of, rows)))


_COLUMNS = columns_of(Assignment)
_EXPECTED = f"{','.join(_COLUMNS)}, one row per case"


def _assignment(line: Line) -> Assignment:
    where, row = line
    case, patient, split, order = (row[name] for name in ("case", "patient", "split", "label_order"))
    if not case or not patient:
        raise InputError(f"{where}: no {'patient' if case else 'case'}; expected a name")
    if split not in SPLITS:
        raise InputError(f"{where}: case {case} has split {split!r}; expected one of {', '.join(SPLITS)}")
    if order and not order.isdecimal():
        raise InputError(f"{where}: case {case} has label_order {order!r}; expected a whole number from 0, or nothing")
    return Assignment(case, patient, row["group"], split, int(order) if order else None)


def _check_one_split_per_patient(splits: list[Assignment], path: Path) -> None:
    seen: dict[str, Assignment] = {}
    for row in splits:
        first = seen.setdefault(row.patient, row)
        if (first.split, first.label_order) != (row.split, row.label_order):
            what, one, two = ("split", first.split, row.split)
            if one == two:
                what, one, two = ("label_order", str(first.label_order), str(row.label_order))
            raise InputError(
                f"{path}: patient {row.patient} has {what} {one} (case {first.case}) and {two} (case {row.case}); "
                "expected all cases of a patient on one side"
            )


FRACTIONS = (0.7, 0.1, 0.2)


@dataclass(frozen=True)
class Place:
    """A patient's side of the split and, in training, place in the queue of those who lend their labels."""

    split: str
    label_order: int | None = None


def seeded_splits(
    groups: Mapping[str, str], *, seed: int, fractions: tuple[float, float, float] = FRACTIONS
) -> dict[str, Place]:
    """Share patients out, each group in the same proportions, the same on every machine.

    Patients are ordered by their relative rank inside their group, the ranks drawn by hashing seed and name. The first
    are the test set, the next the validation set, and the rest the queue of training patients, so that any beginning
    of that queue represents the groups as well.

    Args:
        groups: patient to group.
        fractions: shares of train, val and test, summing to 1; a share above zero gets at least one patient.

    Raises:
        InputError: fewer patients than sides.
    """
    _, val_share, test_share = fractions
    sides = sum(share > 0 for share in fractions)
    if len(groups) < sides:
        raise InputError(
            f"{len(groups)} labelled patients; expected at least {sides} to split, or a file that does (--splits)"
        )
    queue = _interleaved(groups, seed)
    tests = _count(test_share, len(queue))
    vals = _count(val_share, len(queue))
    places = dict.fromkeys(queue[:tests], Place("test")) | dict.fromkeys(queue[tests : tests + vals], Place("val"))
    return places | {patient: Place("train", order) for order, patient in enumerate(queue[tests + vals :])}


def listed_splits(folder: Path) -> dict[str, Place]:
    """Read a folder of SSL4MIS's lists of frames.

    ``train.list``, ``val.list``, ``test.list`` and ``train_slices.list`` (SSL4MIS's ``data/ACDC``) may begin with
    ``ssl4mis_``. Their frame numbers differ from ACDC's own, so only patients count. A patient's first appearance among
    the slices is its place in the queue: the literature's first 68 slices are 3 patients, its first 136 are 7.

    Raises:
        InputError: a missing file, a line that names no patient, or a patient in two splits.
    """
    queue = list(_patients(folder, "train_slices"))
    places: dict[str, Place] = {}
    for split in SPLITS:
        for patient in _patients(folder, split):
            if patient in places:
                raise InputError(f"{folder}: patient {patient} is in {places[patient].split} and {split}; expected one")
            places[patient] = Place(split)
    unequal = sorted(set(queue) ^ {patient for patient, place in places.items() if place.split == "train"})
    if unequal:
        raise InputError(f"{folder}: patient {unequal[0]} is in one of train.list and train_slices.list; expected both")
    return places | {patient: Place("train", order) for order, patient in enumerate(queue)}


def _interleaved(groups: Mapping[str, str], seed: int) -> list[str]:
    members = defaultdict(list)
    for patient in sorted(groups, key=lambda patient: _draw(patient, seed)):
        members[groups[patient]].append(patient)
    rank = {
        patient: (place + 0.5) / len(patients)
        for patients in members.values()
        for place, patient in enumerate(patients)
    }
    return sorted(groups, key=lambda patient: (rank[patient], _draw(patient, seed)))


def _draw(patient: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {patient}".encode()).hexdigest()


def _count(share: float, patients: int) -> int:
    return max(1, round(share * patients)) if share > 0 else 0


def _patients(folder: Path, name: str) -> dict[str, None]:
    """Patients in order of first appearance."""
    path = next((found for prefix in ("ssl4mis_", "") if (found := folder / f"{prefix}{name}.list").is_file()), None)
    if path is None:
        raise InputError(f"{folder}: no {name}.list; expected SSL4MIS's lists, or give a CSV file like splits.csv")
    names = [re.match(r"(.+)_frame\d+", line) for line in path.read_text().split()]
    if not names or None in names:
        raise InputError(f"{path}: a line that names no patient and frame; expected patient001_frame01")
    return dict.fromkeys(match[1] for match in names if match)
