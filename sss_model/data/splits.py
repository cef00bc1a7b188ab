"""Splits of patients into training, validation and test: ``splits.csv``, seeded ones, and SSL4MIS's lists."""

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

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Assignment:
    """One row of ``splits.csv``: a case, its patient, and its split.

    Attributes:
        group: what splits are stratified by, a diagnosis for instance; may be empty.
        split: train, val or test.
        label_order: rank of the patient among the training patients with labels, from 0: ``data.labelled`` uses the
            first ones. None for validation, test and unlabelled patients.
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
    """Read the bytes of a ``splits.csv`` as `read_splits` does; `where` opens the error message.

    >>> text = b"case,patient,group,split,label_order\\np1_ed,p1,NOR,train,0\\n"
    >>> parse_splits(text, Path("splits.csv"))
    [Assignment(case='p1_ed', patient='p1', group='NOR', split='train', label_order=0)]
    """
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
class PatientSplit:
    """A patient's split and, in training, label order (see `Assignment`)."""

    split: str
    label_order: int | None = None


def seeded_splits(
    groups: Mapping[str, str], *, seed: int, fractions: tuple[float, float, float] = FRACTIONS
) -> dict[str, PatientSplit]:
    """Split patients, stratified by group, the same on every machine.

    Patients are ordered by their relative rank inside their group, the ranks drawn by hashing seed and name. The first
    are the test set, the next the validation set, and the rest the training patients in label order, so that the first
    of those represent the groups as well.

    >>> splits = seeded_splits({"p1": "NOR", "p2": "NOR", "p3": "DCM", "p4": "DCM"}, seed=0)
    >>> {patient: found.split for patient, found in splits.items()}
    {'p2': 'test', 'p3': 'val', 'p1': 'train', 'p4': 'train'}

    Args:
        groups: patient to group.
        fractions: shares of train, val and test, summing to 1; a share above zero gets at least one patient.

    Raises:
        InputError: fewer patients than splits.
    """
    _, val_share, test_share = fractions
    needed = sum(share > 0 for share in fractions)
    if len(groups) < needed:
        raise InputError(
            f"{len(groups)} labelled patients; expected at least {needed} to split, or a file that does (--splits)"
        )
    queue = _interleaved(groups, seed)
    tests = _count(test_share, len(queue))
    vals = _count(val_share, len(queue))
    held_out = dict.fromkeys(queue[:tests], PatientSplit("test")) | dict.fromkeys(
        queue[tests : tests + vals], PatientSplit("val")
    )
    return held_out | {patient: PatientSplit("train", order) for order, patient in enumerate(queue[tests + vals :])}


def listed_splits(folder: Path) -> dict[str, PatientSplit]:
    """Read a folder of SSL4MIS's lists of frames.

    ``train.list``, ``val.list``, ``test.list`` and ``train_slices.list`` (SSL4MIS's ``data/ACDC``) may begin with
    ``ssl4mis_``. Their frame numbers differ from ACDC's own, so only patients count. A patient's first appearance among
    the slices is its label order: the literature's first 68 slices are 3 patients, its first 136 are 7.

    Raises:
        InputError: a missing file, a line that names no patient, or a patient in two splits.
    """
    queue = list(_patients(folder, "train_slices"))
    splits: dict[str, PatientSplit] = {}
    for split in SPLITS:
        for patient in _patients(folder, split):
            if patient in splits:
                raise InputError(f"{folder}: patient {patient} is in {splits[patient].split} and {split}; expected one")
            splits[patient] = PatientSplit(split)
    unequal = sorted(set(queue) ^ {patient for patient, found in splits.items() if found.split == "train"})
    if unequal:
        raise InputError(f"{folder}: patient {unequal[0]} is in one of train.list and train_slices.list; expected both")
    return splits | {patient: PatientSplit("train", order) for order, patient in enumerate(queue)}


def _interleaved(groups: Mapping[str, str], seed: int) -> list[str]:
    members = defaultdict(list)
    for patient in sorted(groups, key=lambda patient: _draw(patient, seed)):
        members[groups[patient]].append(patient)
    rank = {
        patient: (number + 0.5) / len(patients)
        for patients in members.values()
        for number, patient in enumerate(patients)
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
