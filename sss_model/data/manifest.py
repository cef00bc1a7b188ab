"""The manifest: one row of facts per case, ``manifest.csv``, and which cases a training learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sss_model.data.canonical import Assignment, CaseFiles, open_dataset
from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically
from sss_model.io.tables import Line, cells_of, parse_row, read_table, table_bytes
from sss_model.io.volumes import Volume, read_pair, read_volume
from sss_model.parallel import for_each


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """Facts about a case's files.

    Attributes:
        image_sha256, label_sha256: hashes of the files' bytes; None without a label.
        shape, spacing_mm: voxels and millimetres per axis of the file.
        orientation: direction in which each axis of the file grows, e.g. ``LPS``.
        slices: along the scan's coarsest axis.
        voxels: per class name, background included; empty without a label.
    """

    image_sha256: str
    label_sha256: str | None
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    orientation: str
    slices: int
    voxels: dict[str, int]

    @property
    def slice_distance_mm(self) -> float:
        """Millimetres from one slice to the next, along the scan's coarsest axis."""
        return max(self.spacing_mm)


def inspect_case(files: CaseFiles, labels: dict[str, int]) -> CaseFacts:
    """Read a case's image and label, and check that they fit.

    Raises:
        InputError: a file can't be read, image and label differ in geometry, or the label holds a value that is not
            among `labels`; the sentence names the case.
    """
    try:
        image, label = _read(files)
        voxels = count_voxels(label, labels, where=str(files.label)) if label else {}
    except InputError as error:
        raise InputError(f"case {files.case}: {error}") from None
    return CaseFacts(
        image_sha256=sha256(files.image),
        label_sha256=sha256(files.label) if files.label else None,
        shape=image.source.shape,
        spacing_mm=image.source.spacing,
        orientation=image.source.orientation,
        slices=image.array.shape[image.slice_axis],
        voxels=voxels,
    )


def count_voxels(label: Volume, labels: dict[str, int], *, where: str) -> dict[str, int]:
    """Count voxels per class name; raises `InputError` for a value that is not among `labels`."""
    found = _counts(label.array)
    unknown = sorted(found.keys() - set(labels.values()))
    if unknown:
        known = ", ".join(f"{value} {name}" for name, value in labels.items())
        raise InputError(f"{where}: {found[unknown[0]]} voxels are {unknown[0]}; expected {known}, as in dataset.json")
    return {name: found.get(value, 0) for name, value in labels.items()}


def _counts(array: np.ndarray) -> dict[int, int]:
    if array.dtype != np.uint8:
        values, counts = np.unique(array, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))
    # Sorting all voxels, as above, costs several times as much; plane by plane, since counting widens them to 64 bits.
    sums = sum((np.bincount(plane.reshape(-1), minlength=256) for plane in array), np.zeros(256, np.int64))
    return {value: count for value, count in enumerate(sums.tolist()) if count}


def _read(files: CaseFiles) -> tuple[Volume, Volume | None]:
    if files.label:
        return read_pair(files.image, files.label, files.case)
    return read_volume(files.image, files.case), None


@dataclass(frozen=True, kw_only=True)
class Case(CaseFacts):
    """One row of ``manifest.csv``; `image` and `label` are relative to the data set's folder, with forward slashes."""

    case: str
    patient: str
    group: str
    image: str
    label: str | None
    labelled: bool
    split: str
    label_order: int | None


@dataclass(frozen=True)
class Manifest:
    """All cases of a data set, sorted by name, and its classes."""

    cases: tuple[Case, ...]
    labels: dict[str, int]

    def split(self, name: str) -> tuple[Case, ...]:
        """The cases on one side: ``train``, ``val`` or ``test``."""
        return tuple(case for case in self.cases if case.split == name)


@dataclass(frozen=True)
class Cohort:
    """The cases of one training: with labels, as images alone, and for validation and test."""

    labelled: tuple[Case, ...]
    unlabelled: tuple[Case, ...]
    val: tuple[Case, ...]
    test: tuple[Case, ...]


def build_manifest(folder: Path) -> Manifest:
    """Read every volume of a canonical data set once.

    Raises:
        InputError: `folder` isn't one (see `open_dataset`), or a case's files can't be used (see `inspect_case`).
    """
    dataset = open_dataset(folder)
    facts = for_each(lambda files: inspect_case(files, dataset.labels), dataset.cases, description="Reading volumes")
    rows = zip(facts, dataset.cases, dataset.splits, strict=True)
    return Manifest(tuple(_row(*row, folder) for row in rows), dataset.labels)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write one row per case."""
    write_atomically(path, manifest_bytes(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """The content of ``manifest.csv``; the same manifest gives the same bytes."""
    columns = _COLUMNS + [_VOXELS + name for name in manifest.labels]
    return table_bytes(columns, map(_cells, manifest.cases))


def read_manifest(path: Path) -> Manifest:
    """Read what `write_manifest` wrote; raises `InputError` for a missing or empty file, or wrong columns or values."""
    table = read_table(path, _COLUMNS, expected=_EXPECTED)
    if not table.lines:
        raise InputError(f"{path}: no cases; expected {_EXPECTED}")
    names = [column.removeprefix(_VOXELS) for column in table.columns if column.startswith(_VOXELS)]
    cases = tuple(_case(line, names) for line in table.lines)
    return Manifest(cases, {name: value for value, name in enumerate(names)})


def cohort(manifest: Manifest, labelled: int | None) -> Cohort:
    """Select the cases of one training.

    Args:
        labelled: how many training patients' labels to use, in label order; None means all that there are.

    Returns:
        In `unlabelled` every training case, the labelled ones included, as an image alone; in `val` and `test` the
        cases that have a label.

    Raises:
        InputError: fewer training patients have labels than asked for, or none has.
    """
    train = manifest.split("train")
    patients = _in_label_order(train)
    if len(patients) < (labelled or 1):
        found = f"manifest: {len(patients)} training patients have labels"
        raise InputError(f"{found}; expected at least {labelled or 1} (data.labelled)")
    labelled_patients = set(patients[:labelled])
    return Cohort(
        labelled=tuple(case for case in train if case.labelled and case.patient in labelled_patients),
        unlabelled=tuple(_image_alone(case) for case in train),
        val=tuple(case for case in manifest.split("val") if case.labelled),
        test=tuple(case for case in manifest.split("test") if case.labelled),
    )


def _row(facts: CaseFacts, files: CaseFiles, row: Assignment, folder: Path) -> Case:
    return Case(
        **vars(facts),
        case=files.case,
        patient=row.patient,
        group=row.group,
        image=files.image.relative_to(folder).as_posix(),
        label=files.label.relative_to(folder).as_posix() if files.label else None,
        labelled=files.label is not None,
        split=row.split,
        label_order=row.label_order,
    )


def _in_label_order(train: tuple[Case, ...]) -> list[str]:
    """Training patients with a label; those without a label order come last, by name."""
    keys = {
        case.patient: (case.label_order is None, case.label_order or 0, case.patient) for case in train if case.labelled
    }
    return sorted(keys, key=lambda patient: keys[patient])


def _image_alone(case: Case) -> Case:
    return replace(case, label=None, label_sha256=None, labelled=False, voxels={})


_VOXELS = "voxels_"
_COLUMNS = [
    *("case", "patient", "group", "split", "label_order", "labelled", "image", "label", "image_sha256"),
    *("label_sha256", "shape", "spacing_mm", "orientation", "slices"),
]


_EXPECTED = "a manifest, which the step version-data writes"


def _cells(case: Case) -> dict[str, object]:
    return cells_of(case) | {_VOXELS + name: count for name, count in case.voxels.items()}


def _case(line: Line, names: list[str]) -> Case:
    try:
        counts = {name: int(line.cells[_VOXELS + name]) for name in names} if line.cells["labelled"] == "true" else {}
    except ValueError:
        raise InputError(f"{line.where}: a number of voxels that can't be read; expected a row of a manifest") from None
    return parse_row(Case, line, expected="a row of a manifest", voxels=counts)


def check_content(cases: Sequence[Case], data_dir: Path) -> None:
    """Check that a data set's files are those that the manifest was made of.

    Raises:
        InputError: an image or a label is missing, or has other bytes than the manifest says.
    """
    for case in cases:
        for name, expected in ((case.image, case.image_sha256), (case.label, case.label_sha256)):
            check_file(case.case, data_dir / str(name), expected)


def check_file(case: str, path: Path, expected: str | None) -> None:
    """Check one of a case's files by its SHA-256; raises `InputError` where it is missing or another."""
    if not path.is_file():
        raise InputError(f"case {case}: no file {path}; expected what the manifest names")
    if sha256(path) != expected:
        raise InputError(
            f"case {case}: {path} has other content than the manifest says; "
            "expected the same data, or a manifest made anew (sss version-data)"
        )
