"""The phantom's hearts and drawn eyes in layouts that others keep their data in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from sss_model.data.canonical import CaseFiles, open_dataset
from sss_model.data.phantom import write_phantom
from support.samples import fundus

# ACDC's numbers of the phantom's structures: background, cavity, wall, crescent.
_TO_ACDC = np.array([0, 3, 2, 1], np.uint8)
_DIAGNOSES = {"normal": "NOR", "dilated": "DCM", "thick": "HCM"}
_FRAMES = {"ed": "frame01", "es": "frame12"}


def write_acdc_hearts(folder: Path, patients: int = 6) -> Path:
    """ACDC's official tree: two frames a patient."""
    for files, patient, diagnosis in _hearts(patients):
        name = f"patient{patient[-3:]}"
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "Info.cfg").write_text(f"ED: 1\nES: 12\nGroup: {_DIAGNOSES[diagnosis]}\nHeight: 184.0\nNbFrame: 30\n")
        frame = _FRAMES[files.case.removeprefix(f"{patient}_")]
        nib.save(nib.load(files.image), place / f"{name}_{frame}.nii.gz")
        drawn = nib.load(files.label)
        label = nib.Nifti1Image(_TO_ACDC[np.asarray(drawn.dataobj)], drawn.affine, drawn.header)
        nib.save(label, place / f"{name}_{frame}_gt.nii.gz")
    return folder


def write_nnunet_hearts(folder: Path, patients: int = 6) -> Path:
    """nnU-Net's raw format in 3-D: all cases in imagesTr, whose patients a file names."""
    rows = ["case,patient,group"]
    for files, patient, group in _hearts(patients):
        for part, file, name in (("imagesTr", files.image, "_0000"), ("labelsTr", files.label, "")):
            (folder / part).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file), folder / part / f"{files.case}{name}.nii")
        rows.append(f"{files.case},{patient},{group}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    _describe(folder, ["MRI"], ["cavity", "wall", "crescent"], cases=len(rows) - 1, ending=".nii")
    return folder


def write_nnunet_pictures(folder: Path, photographs: int = 6) -> Path:
    """nnU-Net's raw format in 2-D: PNG in colour."""
    for number in range(1, photographs + 1):
        picture, disc, cup = fundus(number)
        for part, name, pixels in (("imagesTr", "_0000", picture), ("labelsTr", "", disc * np.uint8(1) + cup)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / part / f"eye{number}{name}.png")
    _describe(folder, ["RGB"], ["rim", "cup"], cases=photographs, ending=".png")
    return folder


def _describe(folder: Path, channels: list[str], classes: list[str], *, cases: int, ending: str) -> None:
    description = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {name: number for number, name in enumerate(["background", *classes])},
        "numTraining": cases,
        "file_ending": ending,
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def _hearts(patients: int) -> Iterator[tuple[CaseFiles, str, str]]:
    """A phantom cohort's cases, each with its patient and group; the files are gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        write_phantom(Path(name), patients=patients)
        dataset = open_dataset(Path(name))
        rows = {row.case: row for row in dataset.splits}
        for files in dataset.cases:
            yield files, rows[files.case].patient, rows[files.case].group
