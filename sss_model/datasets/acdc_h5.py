"""ACDC as SSL4MIS converted it: an ``.h5`` file per frame, intensities 0 to 1 and no voxel size.

Source: github.com/HiLab-git/SSL4MIS, ``data/ACDC``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sss_model.datasets.inventory import Inventory, Scan
from sss_model.datasets.nifti import affine_of_spacing, parse_spacing, write_nifti
from sss_model.datasets.walk import files_below
from sss_model.errors import InputError

# The middle of what ACDC's paper states, 1.37 to 1.68 mm in-plane and 5 to 10 mm between slices.
NOMINAL_SPACING = "1.5,1.5,10"


def find_volumes(source: Path) -> list[Path]:
    """``patient001_frame01.h5`` and so on; the files of single slices are left out."""
    return [path for path in files_below(source) if re.fullmatch(r"patient\d+_frame\d+\.h5", path.name)]


def inventory_of_h5(
    source: Path, volumes: list[Path], *, labels: dict[str, int], spacing: str | None, licence: str, citation: str
) -> Inventory:
    """List the volumes; SSL4MIS's lists, where they lie beside them, are the splits."""
    mm = parse_spacing(spacing or NOMINAL_SPACING)
    lists = [path.parent for path in files_below(source) if path.name == "train_slices.list"]
    nominal = f"The .h5 files carry no voxel size: {spacing or NOMINAL_SPACING} mm is assumed (--spacing)."
    return Inventory(
        labels=labels,
        scans=tuple(Scan(path.stem, path.stem.split("_")[0], "", path, path) for path in volumes),
        channel="MRI",
        file_ending=".nii.gz",
        licence=licence,
        citation=citation,
        convert=lambda scan, image, label: convert(scan.image, image, label, spacing=mm),
        notes=(nominal, "Distances in mm are as good as that."),
        splits=lists[0] if lists else None,
    )


def convert(source: Path, image: Path, label: Path | None, *, spacing: tuple[float, float, float]) -> None:
    """Write the arrays ``image`` and ``label`` (slices, rows, columns) of an ``.h5`` file as NIfTI.

    Raises:
        InputError: no HDF5 file, or its arrays are missing or of different shapes.
    """
    pixels, mask = _arrays(source)
    affine = affine_of_spacing(spacing)
    write_nifti(np.ascontiguousarray(pixels.T.astype(np.float32)), affine, image)
    if label:
        write_nifti(np.ascontiguousarray(mask.T.astype(np.uint8)), affine, label)


def _arrays(source: Path) -> tuple[np.ndarray, np.ndarray]:
    import h5py

    try:
        with h5py.File(source) as file:
            pixels, mask = np.asarray(file["image"]), np.asarray(file["label"])
    except OSError:
        raise InputError(f"{source}: not a readable HDF5 file; expected SSL4MIS's image and label") from None
    except KeyError as error:
        raise InputError(f"{source}: {error.args[0]!s}; expected SSL4MIS's image and label") from None
    if pixels.ndim != 3 or pixels.shape != mask.shape:
        raise InputError(f"{source}: image {pixels.shape} and label {mask.shape}; expected two 3-D arrays of one shape")
    return pixels, mask
