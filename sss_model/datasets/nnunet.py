"""nnU-Net's raw format, which our canonical layout extends, and the Medical Segmentation Decathlon's, its ancestor."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sss_model.datasets import msd
from sss_model.datasets.canonical import CaseFiles, channels_of, check_description, list_cases, load_description
from sss_model.datasets.inventory import Convert, Inventory, Scan
from sss_model.datasets.patients import PatientOf, patients_of
from sss_model.errors import InputError


def inventory(source: Path, channel: str | None = None) -> Inventory:
    """List ``imagesTr``/``labelsTr`` and ``imagesTs``/``labelsTs`` as ``dataset.json`` describes them.

    A case is its own patient, unless the folder has a ``splits.csv`` like ours, or a ``patients.csv`` with the columns
    case, patient and, if splits are to be stratified, group. Images without a label are unlabelled cases.

    Args:
        channel: the one to take of several, by name or number.

    Raises:
        InputError: no or an invalid ``dataset.json``, no images, several channels and none chosen, or a case missing in
            ``patients.csv``.
    """
    root = _root(source)
    path = root / "dataset.json"
    description = load_description(root)
    decathlon = msd.is_decathlon(description)
    if decathlon:
        description = msd.translated(description, path)
    channels = channels_of(description, path)
    number = _choose(channels, channel, path)
    check_description(description | {"channel_names": {"0": channels[number]}}, path)
    ending = str(description["file_ending"])
    several = number if len(channels) > 1 else None
    listed = msd.list_cases if decathlon else partial(list_cases, channel=several)
    parts = {part: listed(root, part, ending) for part in ("Tr", "Ts")}
    if not any(parts.values()):
        raise InputError(f"{root}: no images; expected imagesTr/CASE_0000{ending}")
    patients = patients_of(root)
    splits = root / "splits.csv"
    return Inventory(
        labels=description["labels"],
        scans=tuple(
            _scan(files, patients, side="test" if part == "Ts" else "") for part in parts for files in parts[part]
        ),
        channel=channels[number],
        file_ending=ending,
        licence=str(description.get("licence", "")),
        citation=str(description.get("citation", "")),
        convert=_converter(channels, number, decathlon=decathlon),
        notes=() if len(channels) == 1 else (f"Of the channels {', '.join(channels)}, {channels[number]} is taken.",),
        splits=splits if splits.is_file() else None,
    )


def _root(source: Path) -> Path:
    """The folder of the only ``dataset.json``: a zip file often has one folder above it."""
    depths = ("", "*/", "*/*/")
    found = [path.parent for depth in depths for path in source.glob(f"{depth}dataset.json")]
    return found[0] if len(found) == 1 else source


def _choose(channels: list[str], wanted: str | None, path: Path) -> int:
    if wanted is None and len(channels) == 1:
        return 0
    if wanted in channels:
        return channels.index(wanted)
    if wanted is not None and wanted.isdecimal() and int(wanted) < len(channels):
        return int(wanted)
    found = f"channel_names is {', '.join(channels)}" + (f" and not {wanted}" if wanted else "")
    raise InputError(f"{path}: {found}; expected exactly one channel, or a choice of one (--channel)")


def _converter(channels: list[str], number: int, *, decathlon: bool) -> Convert | None:
    if not decathlon or len(channels) == 1:
        return None
    return lambda scan, image, label: msd.take_channel(scan, image, label, number)


def _scan(files: CaseFiles, patient_of: PatientOf, *, side: str) -> Scan:
    patient, group = patient_of(files.case)
    return Scan(files.case, patient, group, files.image, files.label, side)
