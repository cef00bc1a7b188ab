"""What must hold of a data set before anything is trained on it.

Volumes that can't be read, that hold NaN, or whose label doesn't fit are refused earlier, when the manifest is built.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sss_model.config import Config
from sss_model.datasets.canonical import open_dataset
from sss_model.errors import InputError
from sss_model.files import sha256
from sss_model.manifest import Case, Manifest, cohort
from sss_model.parallel import for_each

# A voxel size is far outside when it is this many times the cohort's median, or beyond this many robust standard
# deviations of its logarithm where the cohort varies more: generous, to catch wrong units and swapped headers.
SPACING_FACTOR = 4.0
SPACING_DEVIATIONS = 6.0


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        title: it, in words for a clinician.
        way_out: what to do where it fails.
        failures: sentences, each naming its cases and values; none where it holds.
    """

    title: str
    way_out: str
    failures: Callable[[Subject], list[str]]


@dataclass(frozen=True)
class Subject:
    """What is checked: the manifest, the recipe that will train on it, and the data set's folder."""

    manifest: Manifest
    config: Config
    data_dir: Path

    @property
    def labelled(self) -> tuple[Case, ...]:
        """The cases whose labels training will see."""
        return cohort(self.manifest, min(self.config.data.labelled or len(self.queue), len(self.queue))).labelled

    @property
    def queue(self) -> set[str]:
        """Training patients who have labels."""
        return {case.patient for case in self.manifest.split("train") if case.labelled}


CHECKS: list[Check] = []
"""In the order of a report."""


def _check(title: str, *, way_out: str) -> Callable[[Callable[[Subject], list[str]]], Callable[[Subject], list[str]]]:
    def register(failures: Callable[[Subject], list[str]]) -> Callable[[Subject], list[str]]:
        CHECKS.append(Check(title, way_out, failures))
        return failures

    return register


@_check(
    "Every patient is on one side only: training, validation or test",
    way_out="Give all scans of the patient the same split in splits.csv.",
)
def patients_on_two_sides(subject: Subject) -> list[str]:
    sides = defaultdict(set)
    for case in subject.manifest.cases:
        sides[case.patient].add(case.split)
    return [f"patient {name} is in {_listed(found)}" for name, found in sorted(sides.items()) if len(found) > 1]


@_check(
    "No scan is there twice under different names",
    way_out="Remove the copies, or find out which patient the scan belongs to.",
)
def same_scan_twice(subject: Subject) -> list[str]:
    twins = defaultdict(list)
    for case in subject.manifest.cases:
        twins[case.image_sha256].append(f"{case.case} ({case.split})")
    return [f"{_listed(names)} are the same scan" for names in twins.values() if len(names) > 1]


@_check(
    "Every labelled voxel belongs to a structure the data set names",
    way_out="Correct the label map, or name the structure in dataset.json.",
)
def unknown_structures(subject: Subject) -> list[str]:
    counts = (
        (case, math.prod(case.shape) - sum(case.voxels.values())) for case in subject.manifest.cases if case.voxels
    )
    return [f"case {case.case}: {unknown} voxels of no known structure" for case, unknown in counts if unknown]


@_check(
    "Every structure is drawn in the labelled training scans",
    way_out="Raise data.labelled in the recipe, or change label_order in splits.csv.",
)
def missing_in_labelled(subject: Subject) -> list[str]:
    return [] if not subject.queue else _missing_structures(subject.labelled, "the labelled training scans", subject)


@_check(
    "Every structure is drawn in the test scans",
    way_out="Move a patient who has the structure to the test set in splits.csv.",
)
def missing_in_test(subject: Subject) -> list[str]:
    return _missing_structures(subject.manifest.split("test"), "the test scans", subject)


@_check(
    "Enough training patients have labels",
    way_out="Label more patients, or lower data.labelled or validation.min_labelled_patients in the recipe.",
)
def too_few_labelled(subject: Subject) -> list[str]:
    wanted = max(subject.config.data.labelled or 0, subject.config.validation.min_labelled_patients)
    return _too_few(subject.queue, wanted, "training")


@_check(
    "A patient with labels is there to choose the best model by",
    way_out="Move a labelled patient from train to val in splits.csv.",
)
def too_few_to_choose(subject: Subject) -> list[str]:
    return _too_few(_with_labels(subject.manifest.split("val")), 1, "validation")


@_check(
    "Enough test patients have labels",
    way_out="Label more test patients, or lower validation.min_test_patients in the recipe.",
)
def too_few_to_test(subject: Subject) -> list[str]:
    patients = _with_labels(subject.manifest.split("test"))
    return _too_few(patients, subject.config.validation.min_test_patients, "test")


@_check(
    "Voxel sizes are alike",
    way_out="Check the header's voxel size and its unit; leave the scan out if it is of another kind.",
)
def unusual_spacing(subject: Subject) -> list[str]:
    cases = subject.manifest.cases
    # Sorted, so that in-plane is compared with in-plane however a scan is stored.
    spacing = np.log([sorted(case.spacing_mm) for case in cases])
    distance = np.abs(spacing - np.median(spacing, axis=0))
    robust_deviation = 1.4826 * np.median(distance, axis=0)
    limit = np.maximum(math.log(SPACING_FACTOR), SPACING_DEVIATIONS * robust_deviation)
    usual = _millimetres(np.exp(np.median(spacing, axis=0)))
    return [
        f"case {case.case}: voxels of {_millimetres(case.spacing_mm)} where {usual} is usual"
        for case, far in zip(cases, (distance > limit).any(axis=1), strict=True)
        if far
    ]


@_check(
    "The manifest describes the files that are there",
    way_out="Run the step version-data again.",
)
def files_changed(subject: Subject) -> list[str]:
    try:
        dataset = open_dataset(subject.data_dir)
    except InputError as error:
        return [str(error)]
    rows = {row.case: (row.patient, row.group, row.split, row.label_order) for row in dataset.splits}
    known = {case.case: (case.patient, case.group, case.split, case.label_order) for case in subject.manifest.cases}
    strangers = [f"case {name}: in only one of folder and manifest" for name in sorted(rows.keys() ^ known.keys())]
    moved = [
        f"case {name}: its row in splits.csv changed"
        for name in sorted(rows)
        if rows[name] != known.get(name, rows[name])
    ]
    return strangers + moved + _changed_bytes(subject)


def _missing_structures(cases: Iterable[Case], where: str, subject: Subject) -> list[str]:
    labelled = [case for case in cases if case.labelled]
    _, *structures = subject.manifest.labels
    missing = [name for name in structures if not any(case.voxels.get(name) for case in labelled)]
    return [f"{name}: no voxel in {where} ({len(labelled)} with a label)" for name in missing]


def _too_few(patients: set[str], wanted: int, side: str) -> list[str]:
    if len(patients) >= wanted:
        return []
    names = f" ({_listed(patients)})" if patients else ""
    return [f"{len(patients)} {side} patients have labels{names}; the recipe asks for {wanted}"]


def _with_labels(cases: Iterable[Case]) -> set[str]:
    return {case.patient for case in cases if case.labelled}


def _changed_bytes(subject: Subject) -> list[str]:
    files = [
        (case.case, subject.data_dir / name, digest)
        for case in subject.manifest.cases
        for name, digest in ((case.image, case.image_sha256), (case.label, case.label_sha256))
        if name and digest
    ]

    def verdict(file: tuple[str, Path, str]) -> str:
        case, path, digest = file
        if not path.is_file():
            return f"case {case}: {path} is missing"
        return "" if sha256(path) == digest else f"case {case}: {path} changed since"

    return [sentence for sentence in for_each(verdict, files, description="Comparing files") if sentence]


def _listed(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def _millimetres(spacing: Iterable[float]) -> str:
    return " × ".join(f"{round(value, 2):g}" for value in sorted(spacing)) + " mm"
