"""nnU-Net's raw format with one channel, which our canonical layout extends."""

from __future__ import annotations

import csv
from pathlib import Path

from sss_model.datasets.canonical import CaseFiles, list_cases, read_description
from sss_model.datasets.inventory import Inventory, Scan
from sss_model.errors import InputError


def inventory(source: Path) -> Inventory:
    """List ``imagesTr``/``labelsTr`` and ``imagesTs``/``labelsTs`` as ``dataset.json`` describes them.

    A case is its own patient, unless the folder has a ``splits.csv`` like ours, or a ``patients.csv`` with the columns
    case, patient and, if splits are to be stratified, group. Images without a label are unlabelled cases.

    Raises:
        InputError: no or an invalid ``dataset.json``, no images, several channels, or a case missing in
            ``patients.csv``.
    """
    root = _root(source)
    description = read_description(root)
    ending = description["file_ending"]
    parts = {part: list_cases(root, part, ending) for part in ("Tr", "Ts")}
    if not any(parts.values()):
        raise InputError(f"{root}: no images; expected imagesTr/CASE_0000{ending}")
    patients = _read_patients(root / "patients.csv")
    splits = root / "splits.csv"
    return Inventory(
        labels=description["labels"],
        scans=tuple(_scan(files, patients, held_out=part == "Ts") for part in parts for files in parts[part]),
        channel=next(iter(description["channel_names"].values())),
        file_ending=ending,
        licence=str(description.get("licence", "")),
        citation=str(description.get("citation", "")),
        splits=splits if splits.is_file() else None,
    )


def _root(source: Path) -> Path:
    """The folder of the only ``dataset.json``: a zip file often has one folder above it."""
    found = [path.parent for pattern in ("dataset.json", "*/dataset.json") for path in source.glob(pattern)]
    return found[0] if len(found) == 1 else source


def _scan(files: CaseFiles, patients: dict[str, tuple[str, str]] | None, *, held_out: bool) -> Scan:
    if patients is None:
        return Scan(files.case, files.case, "", files.image, files.label, held_out)
    if files.case not in patients:
        raise InputError(f"{files.image}: case {files.case} is not in patients.csv; expected a row for every case")
    patient, group = patients[files.case]
    return Scan(files.case, patient, group, files.image, files.label, held_out)


def _read_patients(path: Path) -> dict[str, tuple[str, str]] | None:
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {row["case"]: (row["patient"], row.get("group") or "") for row in csv.DictReader(file)}
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: no columns case and patient; expected a CSV file of case,patient,group") from None
