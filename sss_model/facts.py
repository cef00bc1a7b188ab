"""What a case's files say about themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sss_model.datasets.canonical import CaseFiles
from sss_model.errors import InputError
from sss_model.files import sha256
from sss_model.volumes import Volume, read_pair, read_volume


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a case's files say about themselves.

    Attributes:
        image_sha256, label_sha256: hashes of the files' bytes; None without a label.
        shape: voxels per axis of the file.
        spacing_mm: millimetres per axis of the file.
        orientation: direction in which each axis of the file grows, e.g. ``LPS``.
        slices: how many slices the scan was cut into, along its coarsest axis.
        voxels: voxels per class name, background included; empty without a label.
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
        """Millimetres from one slice to the next: along the scan's coarsest axis."""
        return max(self.spacing_mm)


def inspect(files: CaseFiles, labels: dict[str, int]) -> Facts:
    """Read one case's image and label.

    Raises:
        InputError: a file can't be read, image and label differ in geometry, or the label holds a value that is not
            among `labels`; the sentence names the case.
    """
    try:
        image, label = _read(files)
        voxels = count_voxels(label, labels, where=str(files.label)) if label else {}
    except InputError as error:
        raise InputError(f"case {files.case}: {error}") from None
    return Facts(
        image_sha256=sha256(files.image),
        label_sha256=sha256(files.label) if files.label else None,
        shape=image.source.shape,
        spacing_mm=image.source.spacing,
        orientation=image.source.orientation,
        slices=image.array.shape[image.slice_axis],
        voxels=voxels,
    )


def count_voxels(label: Volume, labels: dict[str, int], *, where: str) -> dict[str, int]:
    """Voxels per class name; raises `InputError` for a value that is not among `labels`."""
    found = _counts(label.array)
    unknown = sorted(found.keys() - set(labels.values()))
    if unknown:
        known = ", ".join(f"{value} {name}" for name, value in labels.items())
        raise InputError(f"{where}: {found[unknown[0]]} voxels are {unknown[0]}; expected {known}, as in dataset.json")
    return {name: found.get(value, 0) for name, value in labels.items()}


def _counts(array: np.ndarray) -> dict[int, int]:
    """How often each value occurs."""
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
