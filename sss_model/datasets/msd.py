"""The Medical Segmentation Decathlon: all channels of a case in one 4-D file, labels listed by number.

Source: Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 13, 2022; medicaldecathlon.com.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from sss_model.datasets.canonical import CaseFiles
from sss_model.datasets.inventory import Scan
from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.formats import encode_nifti


def is_decathlon(description: dict[str, Any]) -> bool:
    """Whether ``dataset.json`` is the Decathlon's and not nnU-Net's: labels by number, ``{"1": "liver"}``."""
    labels = description.get("labels")
    return isinstance(labels, dict) and bool(labels) and all(str(key).isdecimal() for key in labels)


def translated(description: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same in nnU-Net's words; raises `InputError` for two classes of one name."""
    labels = {str(name).strip(): int(value) for value, name in description["labels"].items()}
    if len(labels) != len(description["labels"]):
        raise InputError(f"{path}: labels are {description['labels']}; expected every name once")
    names = dict(sorted(labels.items(), key=lambda item: item[1]))
    if 0 in names.values():
        names = {"background" if value == 0 else name: value for name, value in names.items()}
    return {"file_ending": ".nii.gz", "citation": description.get("reference", ""), **description, "labels": names}


def list_cases(root: Path, part: str, ending: str) -> list[CaseFiles]:
    """``imagesTr/CASE.nii.gz`` and ``labelsTr/CASE.nii.gz``, for `part` ``Tr``."""
    images, labels = (
        {path.name.removesuffix(ending): path for path in sorted((root / f"{kind}{part}").glob(f"[!.]*{ending}"))}
        for kind in ("images", "labels")
    )
    orphans = sorted(labels.keys() - images.keys())
    if orphans:
        raise InputError(f"{labels[orphans[0]]}: a label without an image; expected images{part}/{orphans[0]}{ending}")
    return [CaseFiles(case.removesuffix("_0000"), path, labels.get(case)) for case, path in images.items()]


def take_channel(scan: Scan, image: Path, label: Path | None, number: int) -> None:
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
