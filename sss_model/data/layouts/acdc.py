"""ACDC: cardiac cine-MRI, short axis, end-diastole and end-systole of each patient.

Either the challenge's own tree or SSL4MIS's ``.h5`` volumes, which semi-supervised papers train on.

Source: Bernard et al., "Deep Learning Techniques for Automatic MRI Cardiac Multi-structures Segmentation and Diagnosis:
Is the Problem Solved?", IEEE TMI 37(11), 2018.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

from sss_model.data.inventory import Inventory, Scan, files_below
from sss_model.errors import InputError
from sss_model.io.nifti import affine_of_spacing, parse_spacing, write_nifti

LABELS = {"background": 0, "RV": 1, "MYO": 2, "LV": 3}
LICENCE = "CC BY-NC-SA 4.0 (non-commercial, share-alike, citation mandatory)"
CITATION = (
    "O. Bernard, A. Lalande, C. Zotti, F. Cervenansky, et al., Deep Learning Techniques for Automatic MRI Cardiac "
    "Multi-structures Segmentation and Diagnosis: Is the Problem Solved?, IEEE Transactions on Medical Imaging 37(11), "
    "2514-2525, 2018, doi 10.1109/TMI.2018.2837502"
)
# The middle of what ACDC's paper states, 1.37 to 1.68 mm in-plane and 5 to 10 mm between slices.
NOMINAL_SPACING = "1.5,1.5,10"


def inventory(source: Path, spacing: str | None = None) -> Inventory:
    """List the official tree, or SSL4MIS's of ``.h5`` files.

    The official one has ``patient001/patient001_frame01.nii.gz``, ``…_frame01_gt.nii.gz`` and ``Info.cfg``.

    `source` may also be a folder above, say one that holds ``training`` and ``testing``; the latter's patients are then
    the test set. The 4-D cines are left out.

    Args:
        spacing: voxel size of ``.h5`` volumes, which carry none: ``1.5,1.5,10`` in mm.

    Raises:
        InputError: no patient, a patient without group or frames, or an image without its label or the reverse.
    """
    folders = [path.parent for path in files_below(source) if path.name == "Info.cfg"]
    if not folders:
        return _converted(source, spacing)
    if spacing:
        raise InputError(f"{source}: its files say how large a voxel is; expected no --spacing")
    scans = tuple(scan for folder in folders for scan in _scans(folder, source))
    return Inventory(
        labels=LABELS, scans=scans, channel="MRI", file_ending=".nii.gz", licence=LICENCE, citation=CITATION
    )


def _converted(source: Path, spacing: str | None) -> Inventory:
    volumes = _find_volumes(source)
    if not volumes:
        raise InputError(
            f"{source}: no patient folder; expected ACDC's patient001/Info.cfg and its frames, or SSL4MIS's .h5 volumes"
        )
    return _inventory_of_h5(source, volumes, labels=LABELS, spacing=spacing, licence=LICENCE, citation=CITATION)


def _scans(folder: Path, source: Path) -> list[Scan]:
    group = _group(folder / "Info.cfg")
    split = "test" if "testing" in folder.relative_to(source).parts else ""
    names = (re.fullmatch(r"(patient\d+_frame\d+)(_gt)?\.nii\.gz", path.name) for path in folder.iterdir())
    cases = sorted({match[1] for match in names if match})
    if not cases:
        raise InputError(f"{folder}: no frames; expected {folder.name}_frame01.nii.gz and its label")
    files = [(case, _present(folder, f"{case}.nii.gz"), _present(folder, f"{case}_gt.nii.gz")) for case in cases]
    return [Scan(case, folder.name, group, image, label, split) for case, image, label in files]


def _present(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise InputError(f"{folder}: no {name}; expected an image and a label of every frame")
    return folder / name


def _group(path: Path) -> str:
    """The diagnosis: DCM, HCM, MINF, NOR or RV."""
    try:
        group = yaml.safe_load(path.read_text(encoding="utf-8"))["Group"]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError):
        raise InputError(f"{path}: no group; expected a line like 'Group: DCM'") from None
    return str(group)


# SSL4MIS's volumes (github.com/HiLab-git/SSL4MIS, data/ACDC): an .h5 file per frame, intensities 0 to 1, no voxel size


def _find_volumes(source: Path) -> list[Path]:
    """``patient001_frame01.h5`` and so on; the files of single slices are left out."""
    return [path for path in files_below(source) if re.fullmatch(r"patient\d+_frame\d+\.h5", path.name)]


def _inventory_of_h5(
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
        convert=lambda scan, image, label: _convert(scan.image, image, label, spacing=mm),
        notes=(nominal, "Distances in mm are as good as that."),
        splits=lists[0] if lists else None,
    )


def _convert(source: Path, image: Path, label: Path | None, *, spacing: tuple[float, float, float]) -> None:
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
