"""BTCV: abdominal CT with 13 organs, 30 scans with labels, from the challenge "Beyond the Cranial Vault" (Synapse).

Either the challenge's NIfTI files or the slices that Medical-SAM2 offers.

Source: Landman et al., "MICCAI Multi-Atlas Labeling Beyond the Cranial Vault", 2015, doi 10.7303/syn3193805.
"""

from __future__ import annotations

import re
from pathlib import Path

from sss_model.datasets.btcv_slices import convert, find_cases
from sss_model.datasets.inventory import Inventory, Scan
from sss_model.datasets.nifti import parse_spacing
from sss_model.datasets.walk import files_below
from sss_model.errors import InputError

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


def inventory(source: Path, spacing: str | None = None) -> Inventory:
    """List ``img/img0001.nii.gz`` with ``label/label0001.nii.gz``, or ``Training`` and ``Test`` of slices.

    The challenge's test scans, whose labels it keeps, become unlabelled training scans. Medical-SAM2's test cases are
    the test set.

    Args:
        spacing: voxel size of slices, which carry none: ``0.75,0.75,3`` in mm.

    Raises:
        InputError: neither of the two, or a label without its image.
    """
    cases = find_cases(source)
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
        scans=tuple(Scan(case, case, "", image, mask, side) for case, (image, mask, side) in cases.items()),
        channel="CT",
        file_ending=".nii.gz",
        licence=LICENCE,
        citation=CITATION,
        convert=lambda scan, image, label: convert(scan, image, label, spacing=mm),
        notes=(
            f"The slices carry no voxel size: {spacing} mm is assumed (--spacing), and distances are as good as that.",
            "Their grey values are 0 to 255 and no Hounsfield units: set data.window to null.",
        ),
    )
