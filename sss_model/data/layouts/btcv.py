"""BTCV: abdominal CT with 13 organs, 30 scans with labels, from the challenge "Beyond the Cranial Vault" (Synapse).

Either the challenge's NIfTI files or the slices that Medical-SAM2 offers.

Source: Landman et al., "MICCAI Multi-Atlas Labeling Beyond the Cranial Vault", 2015, doi 10.7303/syn3193805.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sss_model.data.inventory import Inventory, Scan, files_below
from sss_model.errors import InputError
from sss_model.io.nifti import affine_of_spacing, parse_spacing, write_nifti
from sss_model.io.pictures import read_picture

ORGANS = (
    *("spleen", "right_kidney", "left_kidney", "gallbladder", "esophagus", "liver", "stomach", "aorta"),
    *("inferior_vena_cava", "portal_and_splenic_vein", "pancreas", "right_adrenal_gland", "left_adrenal_gland"),
)
LABELS = {"background": 0} | {organ: number for number, organ in enumerate(ORGANS, start=1)}
LICENCE = "CC BY 4.0 as copies state it; Synapse asks for registration and its terms of use (syn3193805)"
CITATION = (
    "B. Landman, Z. Xu, J. E. Iglesias, M. Styner, T. R. Langerak, A. Klein, MICCAI Multi-Atlas Labeling Beyond the "
    "Cranial Vault - Workshop and Challenge, 2015, doi 10.7303/syn3193805"
)
# The middle of what the challenge states: 0.54 to 0.98 mm in-plane, 2.5 to 5 mm between slices.
NOMINAL_SPACING = "0.75,0.75,3"
_SPLIT_FOLDERS = {"Training": "", "Test": "test"}


def inventory(source: Path, spacing: str | None = None) -> Inventory:
    """List ``img/img0001.nii.gz`` with ``label/label0001.nii.gz``, or ``Training`` and ``Test`` of slices.

    The challenge's test scans, whose labels it keeps, become unlabelled training scans. Medical-SAM2's test cases are
    the test set.

    Args:
        spacing: voxel size of slices, which carry none: ``0.75,0.75,3`` in mm.

    Raises:
        InputError: neither of the two, or a label without its image.
    """
    cases = _find_cases(source)
    if cases:
        return _of_slices(cases, spacing or NOMINAL_SPACING)
    if spacing:
        raise InputError(f"{source}: no slices, and volumes say how large a voxel is; expected no --spacing")
    return _of_volumes(source)


def _of_volumes(source: Path) -> Inventory:
    files = files_below(source)
    images, labels = (
        {match[1]: path for path in files if (match := re.fullmatch(rf"{kind}(\d{{4}})\.nii\.gz", path.name))}
        for kind in ("img", "label")
    )
    if not images:
        raise InputError(
            f"{source}: no scans; expected BTCV's Training/img/img0001.nii.gz and Training/label/label0001.nii.gz, or "
            "Medical-SAM2's Training/image/CASE/0.jpg and Training/mask/CASE/0.npy"
        )
    orphans = sorted(labels.keys() - images.keys())
    if orphans:
        raise InputError(f"{labels[orphans[0]]}: a label without an image; expected img{orphans[0]}.nii.gz")
    unlabelled = len(images.keys() - labels.keys())
    note = (f"Scans without a label, the challenge's test scans, become unlabelled training scans: {unlabelled}.",)
    return Inventory(
        labels=LABELS,
        scans=tuple(Scan(f"img{key}", f"img{key}", "", path, labels.get(key)) for key, path in images.items()),
        channel="CT",
        file_ending=".nii.gz",
        licence=LICENCE,
        citation=CITATION,
        notes=note if unlabelled else (),
    )


def _of_slices(cases: dict[str, tuple[Path, Path | None, str]], spacing: str) -> Inventory:
    mm = parse_spacing(spacing)
    return Inventory(
        labels=LABELS,
        scans=tuple(Scan(case, case, "", image, mask, split) for case, (image, mask, split) in cases.items()),
        channel="CT",
        file_ending=".nii.gz",
        licence=LICENCE,
        citation=CITATION,
        convert=lambda scan, image, label: _convert(scan, image, label, spacing=mm),
        notes=(
            f"The slices carry no voxel size: {spacing} mm is assumed (--spacing), and distances are as good as that.",
            "Their grey values are 0 to 255 and no Hounsfield units: set data.window to null.",
        ),
    )


# Medical-SAM2's slices (github.com/SuperMedIntel/Medical-SAM2): Training/image/CASE/0.jpg and Training/mask/CASE/0.npy


def _find_cases(source: Path) -> dict[str, tuple[Path, Path | None, str]]:
    """Case to the folders of its slices and masks and its split; empty where the layout is another."""
    depths = ("", "*/", "*/*/", "*/*/*/")
    roots = [path.parent.parent for depth in depths for path in sorted(source.glob(f"{depth}Training/image"))]
    if not roots:
        return {}
    return {
        image.name: (image, mask if (mask := roots[0] / part / "mask" / image.name).is_dir() else None, split)
        for part, split in _SPLIT_FOLDERS.items()
        for image in sorted((roots[0] / part / "image").glob("[!.]*"))
        if image.is_dir()
    }


def _convert(scan: Scan, image: Path, label: Path | None, *, spacing: tuple[float, float, float]) -> None:
    """Stack a case's slices, numbered from 0, into volumes.

    Raises:
        InputError: a slice is missing or of another size, or one has no mask.
    """
    affine = affine_of_spacing(spacing)
    pixels = _stack([_grey(path) for path in _numbered(scan.image, ".jpg")], scan.image)
    write_nifti(pixels.astype(np.uint8), affine, image)
    if label and scan.label:
        mask = _stack([_array(path) for path in _numbered(scan.label, ".npy")], scan.label)
        if mask.shape != pixels.shape:
            raise InputError(f"{scan.label}: masks of {mask.shape}; expected {pixels.shape}, as its slices have")
        write_nifti(mask, affine, label)


def _numbered(folder: Path, ending: str) -> list[Path]:
    paths = {path.stem: path for path in folder.glob(f"[!.]*{ending}")}
    wanted = [str(number) for number in range(len(paths))]
    missing = [name for name in wanted if name not in paths]
    if not paths or missing:
        first = missing[0] if missing else "0"
        raise InputError(f"{folder}: no {first}{ending}; expected slices numbered from 0 without a gap")
    return [paths[name] for name in wanted]


def _grey(path: Path) -> np.ndarray:
    array = read_picture(path)
    return array if array.ndim == 2 else np.rint(array.mean(2))


def _array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise InputError(f"{path}: not a readable NumPy file; expected a slice's labels") from None
    if array.ndim != 2 or not np.array_equal(array, np.rint(array)):
        raise InputError(f"{path}: shape {array.shape}, type {array.dtype}; expected whole numbers in two dimensions")
    return array.astype(np.int16)


def _stack(slices: list[np.ndarray], folder: Path) -> np.ndarray:
    """(columns, rows, slices), as NIfTI stores them."""
    shapes = {array.shape for array in slices}
    if len(shapes) > 1:
        raise InputError(f"{folder}: slices of {' and '.join(map(str, sorted(shapes)))}; expected one size")
    return np.ascontiguousarray(np.stack(slices).transpose(2, 1, 0))
