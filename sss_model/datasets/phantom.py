"""A synthetic cohort, so that everything can be tried without data: short-axis hearts that never were.

Three structures, a cavity, the wall around it and a crescent beside them, move and deform between slices, frames and
patients, among look-alikes that have their intensities and not their place. Patients differ more in looks than two of
them show, so that the unlabelled ones have something to teach. The same bytes come out on any machine.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import nibabel as nib
import numpy as np

from sss_model.datasets.canonical import Assignment, write_dataset
from sss_model.datasets.phantom_heart import Grid, draw_heart
from sss_model.datasets.phantom_image import render
from sss_model.datasets.phantom_random import Draws
from sss_model.datasets.splits import seeded_splits
from sss_model.errors import InputError
from sss_model.files import write_atomically

LABELS = {"background": 0, "cavity": 1, "wall": 2, "crescent": 3}
GROUPS = ("normal", "dilated", "thick")
FRAMES = ("ed", "es")
ORIENTATIONS = ("RAS", "LPS")  # how patients are stored, in turn
SPACING_64THS = (77, 115)  # in-plane, in 1/64 mm: exact in the header's float32
SLICE_DISTANCE_64THS = (512, 640)
SLICES = (8, 10)
FIELD_MM = (150.0, 170.0)  # of view, each axis; in 96 to 128 pixels
PIXELS = (96, 128)
MIN_PATIENTS = 4


def write_phantom(destination: Path, *, patients: int = 20, seed: int = 0) -> None:
    """Write a cohort in the canonical layout: two frames a patient, int16 scans and uint8 masks, uncompressed NIfTI.

    Args:
        destination: folder; made where missing.
        patients: how many; 70 % train, 10 % validate, 20 % test.

    Raises:
        InputError: fewer than four patients, which can't be split.
    """
    if patients < MIN_PATIENTS:
        raise InputError(f"phantom: {patients} patients asked for; expected at least {MIN_PATIENTS}")
    groups = {f"phantom{number + 1:03d}": GROUPS[number % len(GROUPS)] for number in range(patients)}
    places = seeded_splits(groups, seed=seed)
    splits = [
        Assignment(f"{patient}_{frame}", patient, group, places[patient].split, places[patient].label_order)
        for patient, group in groups.items()
        for frame in FRAMES
    ]
    orientations = dict(zip(groups, cycle(ORIENTATIONS), strict=False))
    for row in splits:
        part, orientation = "Ts" if row.split == "test" else "Tr", orientations[row.patient]
        frame = row.case.removeprefix(f"{row.patient}_")
        image, label, spacing = _scan(Draws(f"{seed}/{row.patient}"), group=row.group, frame=frame)
        image_path = destination / f"images{part}" / f"{row.case}_0000.nii"
        write_atomically(image_path, nifti(image, spacing, orientation))
        write_atomically(destination / f"labels{part}" / f"{row.case}.nii", nifti(label, spacing, orientation))
    write_dataset(destination, labels=LABELS, splits=splits, channel="MRI", file_ending=".nii")


def nifti(array: np.ndarray, spacing: tuple[float, float, float], orientation: str) -> bytes:
    """A whole file around an (X, Y, Z) array in RAS+, stored as RAS or LPS.

    The header is filled in field by field: computing it from an affine would go through linear algebra, whose last bits
    depend on the machine.
    """
    turned = orientation == "LPS"
    sign = -1.0 if turned else 1.0
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header["pixdim"][:4] = (1.0, *spacing)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1.0, 0.0
    header["descrip"] = b"phantom"
    header.set_xyzt_units("mm")
    header["qform_code"] = header["sform_code"] = 1
    header["quatern_d"] = 1.0 if turned else 0.0  # half a turn about the third axis
    for axis, direction in enumerate((sign, sign, 1.0)):
        step = direction * spacing[axis]
        origin = -step * (array.shape[axis] - 1) / 2
        header[f"srow_{'xyz'[axis]}"][[axis, 3]] = step, origin
        header[f"qoffset_{'xyz'[axis]}"] = origin
    stored = array[::-1, ::-1] if turned else array
    return header.binaryblock + bytes(4) + stored.astype(array.dtype.newbyteorder("<")).tobytes(order="F")


def _scan(draws: Draws, *, group: str, frame: str) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    grid = _grid(draws)
    heart = draw_heart(grid, draws, group=group, systole=frame == "es")
    image = np.rint(render(grid, heart, draws, draws.branch(frame))).astype(np.int16)
    return image, heart.label, grid.spacing


def _grid(draws: Draws) -> Grid:
    pixel = draws.integer("spacing", SPACING_64THS) / 64
    low, high = PIXELS
    width, height = (min(max(round(draws.uniform(f"field {axis}", FIELD_MM) / pixel), low), high) for axis in "xy")
    distance = draws.integer("slice distance", SLICE_DISTANCE_64THS) / 64
    return Grid(shape=(width, height, draws.integer("slices", SLICES)), spacing=(pixel, pixel, distance))
