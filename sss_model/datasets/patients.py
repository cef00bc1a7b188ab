"""Whose case is whose: ``patients.csv``, or a part of the file's name."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from sss_model.errors import InputError

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
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["case"]: (row["patient"], row.get("group") or "") for row in csv.DictReader(file)}
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: no columns case and patient; expected a CSV file of case,patient,group") from None
