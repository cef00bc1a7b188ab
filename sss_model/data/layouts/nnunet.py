"""nnU-Net's raw format, which our canonical layout extends, and the Medical Segmentation Decathlon's, its ancestor.

Source: Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 13, 2022; medicaldecathlon.com.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from sss_model.data.canonical import CaseFiles, channels_of, check_description, list_cases, load_description
from sss_model.data.inventory import Convert, Inventory, PatientOf, Scan, patients_of
from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io.formats import encode_nifti


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
    decathlon = _is_decathlon(description)
    if decathlon:
        description = _in_nnunet_terms(description, path)
    channels = channels_of(description, path)
    number = _choose(channels, channel, path)
    check_description(description | {"channel_names": {"0": channels[number]}}, path)
    ending = str(description["file_ending"])
    several = number if len(channels) > 1 else None
    listed = _decathlon_cases if decathlon else partial(list_cases, channel=several)
    parts = {part: listed(root, part, ending) for part in ("Tr", "Ts")}
    if not any(parts.values()):
        raise InputError(f"{root}: no images; expected imagesTr/CASE_0000{ending}")
    patients = patients_of(root)
    splits = root / "splits.csv"
    return Inventory(
        labels=description["labels"],
        scans=tuple(
            _scan(files, patients, split="test" if part == "Ts" else "") for part in parts for files in parts[part]
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
    return lambda scan, image, label: _write_channel(scan, image, label, number)


def _scan(files: CaseFiles, patient_of: PatientOf, *, split: str) -> Scan:
    patient, group = patient_of(files.case)
    return Scan(files.case, patient, group, files.image, files.label, split)


# The Decathlon: all channels of a case in one 4-D file, labels listed by number


def _is_decathlon(description: dict[str, Any]) -> bool:
    """Whether ``dataset.json`` is the Decathlon's and not nnU-Net's: labels by number, ``{"1": "liver"}``."""
    labels = description.get("labels")
    return isinstance(labels, dict) and bool(labels) and all(str(key).isdecimal() for key in labels)


def _in_nnunet_terms(description: dict[str, Any], path: Path) -> dict[str, Any]:
    """The description in nnU-Net's terms; raises `InputError` for two classes of one name."""
    labels = {str(name).strip(): int(value) for value, name in description["labels"].items()}
    if len(labels) != len(description["labels"]):
        raise InputError(f"{path}: labels are {description['labels']}; expected every name once")
    names = dict(sorted(labels.items(), key=lambda item: item[1]))
    if 0 in names.values():
        names = {"background" if value == 0 else name: value for name, value in names.items()}
    return {"file_ending": ".nii.gz", "citation": description.get("reference", ""), **description, "labels": names}


def _decathlon_cases(root: Path, part: str, ending: str) -> list[CaseFiles]:
    """``imagesTr/CASE.nii.gz`` and ``labelsTr/CASE.nii.gz``, for `part` ``Tr``."""
    images, labels = (
        {path.name.removesuffix(ending): path for path in sorted((root / f"{kind}{part}").glob(f"[!.]*{ending}"))}
        for kind in ("images", "labels")
    )
    orphans = sorted(labels.keys() - images.keys())
    if orphans:
        raise InputError(f"{labels[orphans[0]]}: a label without an image; expected images{part}/{orphans[0]}{ending}")
    return [CaseFiles(case.removesuffix("_0000"), path, labels.get(case)) for case, path in images.items()]


def _write_channel(scan: Scan, image: Path, label: Path | None, number: int) -> None:
    """Write one channel of a 4-D file, and copy the label.

    Raises:
        InputError: the image can't be read or has no such channel.
    """
    try:
        source = nib.Nifti1Image.from_filename(scan.image)
        array = np.asanyarray(source.dataobj)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError):
        raise InputError(f"{scan.image}: not a readable NIfTI file; expected a 4-D image of several channels") from None
    if array.ndim != 4 or array.shape[3] <= number:
        raise InputError(f"{scan.image}: shape {array.shape}; expected four axes, the last with channel {number}")
    header: nib.Nifti1Header = source.header.copy()
    header.set_data_shape(array.shape[:3])
    header["scl_slope"], header["scl_inter"] = 1, 0
    write_atomically(image, encode_nifti(array[..., number], header, compress=image.name.endswith(".gz")))
    if label and scan.label:
        shutil.copyfile(scan.label, label)
