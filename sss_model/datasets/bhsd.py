"""BHSD: CT of the head with intracranial haemorrhage of five kinds, 192 scans with labels and 1980 without.

Source: Wu et al., "BHSD: A 3D Multi-Class Brain Hemorrhage Segmentation Dataset", MLMI 2023, arXiv 2308.11298.
"""

from __future__ import annotations

import re
from pathlib import Path

from sss_model.datasets.bhsd_split import TEST
from sss_model.datasets.inventory import Inventory, Scan
from sss_model.datasets.walk import files_below
from sss_model.errors import InputError

LABELS = {"background": 0, "EDH": 1, "IPH": 2, "IVH": 3, "SAH": 4, "SDH": 5}
LICENCE = (
    "BHSD's own page says NC-ND: no commercial use, and not to be modified into another data set; copies on Hugging "
    "Face say MIT. Take the strict one: don't pass the imported folder on"
)
CITATION = (
    "B. Wu, Y. Xie, Z. Zhang, J. Ge, K. Yaxley, S. Bahadir, Q. Wu, Y. Liu, M.-S. To, BHSD: A 3D Multi-class Brain "
    "Hemorrhage Segmentation Dataset, Machine Learning in Medical Imaging 2023, 147-156, "
    "doi 10.1007/978-3-031-45673-2_15"
)
_MASKS = {"ground truths", "ground_truths", "labelstr", "labelsts", "labels", "masks"}
_NAME = re.compile(r"(ID_[0-9a-f]+)_(ID_[0-9a-f]+?)(?:_0000)?\.nii\.gz")


def inventory(source: Path) -> Inventory:
    """List the scans, by their official names ``ID_PATIENT_ID_STUDY.nii.gz``, wherever they lie.

    A file below ``ground truths`` (or ``labelsTr``, ``labelsTs``) is the label of the scan of the same name. The
    official test cases are the test set, validation patients are drawn from the others.

    Raises:
        InputError: no such files, a label without its scan, or no label at all.
    """
    named = [(match, path) for path in files_below(source) if (match := _NAME.fullmatch(path.name))]
    labels = {_case(match): path for match, path in named if path.parent.name.lower() in _MASKS}
    images = [(match, path) for match, path in named if path.parent.name.lower() not in _MASKS]
    if not images or not labels:
        raise InputError(
            f"{source}: {len(images)} scans and {len(labels)} labels; expected BHSD's "
            "label_192/images/ID_…_ID_….nii.gz, its label_192/ground truths and, unlabelled, unlabel_1980"
        )
    orphans = sorted(labels.keys() - {_case(match) for match, _ in images})
    if orphans:
        raise InputError(f"{labels[orphans[0]]}: a label without a scan; expected {orphans[0]}.nii.gz among the images")
    scans = [_scan(match, path, labels.get(_case(match))) for match, path in images]
    sides = {scan.patient: scan.side for scan in sorted(scans, key=lambda scan: scan.label is not None)}
    return Inventory(
        labels=LABELS,
        scans=tuple(_with_patient(scan, sides[scan.patient]) for scan in scans),
        channel="CT",
        file_ending=".nii.gz",
        licence=LICENCE,
        citation=CITATION,
        notes=tuple(_notes(scans)),
    )


def _scan(match: re.Match[str], image: Path, label: Path | None) -> Scan:
    official = "test" if label and f"{match[1][3:]}_{match[2][3:]}" in TEST else ""
    return Scan(_case(match), match[1], "", image, label, official)


def _with_patient(scan: Scan, side: str) -> Scan:
    """The 1980 may hold further studies of a test patient, who is then no training patient either."""
    return Scan(scan.case, scan.patient, scan.group, scan.image, scan.label, side)


def _notes(scans: list[Scan]) -> list[str]:
    labelled = sum(scan.label is not None for scan in scans)
    tests = sum(scan.side == "test" for scan in scans)
    whole = (labelled, len(scans) - labelled, tests) == (192, 1980, 96)
    if whole:
        return []
    return [
        f"{labelled} of 192 labelled scans ({tests} of the 96 official test cases) and {len(scans) - labelled} of 1980 "
        "unlabelled ones were found."
    ]


def _case(match: re.Match[str]) -> str:
    return f"{match[1]}_{match[2]}"
