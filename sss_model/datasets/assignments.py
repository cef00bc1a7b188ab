"""Who is on which side of the split: ``splits.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sss_model.errors import InputError
from sss_model.files import write_atomically

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
        raise InputError(f"{path}: no such file; expected {','.join(_COLUMNS)}, one row per case") from None


def parse_splits(data: bytes, where: Path) -> list[Assignment]:
    """The same for the bytes of a ``splits.csv``; `where` opens the sentence of an error."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        rows, columns = list(reader), reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{where}: not a CSV file; expected {','.join(_COLUMNS)}, one row per case") from None
    missing = [column for column in _COLUMNS if column not in columns]
    if missing:
        raise InputError(f"{where}: no column {missing[0]}; expected {','.join(_COLUMNS)}")
    splits = [_assignment(row, f"{where}, line {number}") for number, row in enumerate(rows, start=2)]
    _check_one_split_per_patient(splits, where)
    return splits


def write_splits(splits: Iterable[Assignment], path: Path) -> None:
    """Write ``splits.csv``, sorted by case."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in sorted(splits, key=lambda row: row.case))
    write_atomically(path, text.getvalue().encode())


_COLUMNS = [field.name for field in fields(Assignment)]


def _assignment(row: dict[str, str], where: str) -> Assignment:
    case, patient, split, order = (row[name] or "" for name in ("case", "patient", "split", "label_order"))
    if not case or not patient:
        raise InputError(f"{where}: no {'patient' if case else 'case'}; expected a name")
    if split not in SPLITS:
        raise InputError(f"{where}: case {case} has split {split!r}; expected one of {', '.join(SPLITS)}")
    if order and not order.isdecimal():
        raise InputError(f"{where}: case {case} has label_order {order!r}; expected a whole number from 0, or nothing")
    return Assignment(case, patient, row["group"] or "", split, int(order) if order else None)


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
