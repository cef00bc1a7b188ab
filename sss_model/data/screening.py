"""Measurements of each case for the data checks: intensities, anatomy, fit of the label map, thumbnails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cc3d
import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, zoom

from sss_model.data.manifest import Case, Manifest
from sss_model.errors import InputError
from sss_model.files import sha256
from sss_model.io.volumes import NotFiniteError, SourceGrid, Volume, read_label, read_volume
from sss_model.parallel import for_each


@dataclass(frozen=True, kw_only=True)
class FileState:
    """The state of one file, compared with the manifest.

    Attributes:
        changed: whether its SHA-256 is another than the manifest's.
        unreadable, not_finite: why it can't be used; at most one of the two.
        grid: None where it can't be used.
    """

    missing: bool = False
    changed: bool = False
    unreadable: str | None = None
    not_finite: str | None = None
    grid: SourceGrid | None = None


@dataclass(frozen=True, kw_only=True)
class CaseMeasurements:
    """Measurements of one case; None where a file can't be read or there is no label.

    Attributes:
        voxels: label value to number of voxels.
        alignment: None also where image and label differ in shape, or nothing is labelled.
    """

    image: FileState
    label: FileState | None
    intensities: IntensityStatistics | None = None
    thumbnail: np.ndarray | None = None
    voxels: dict[int, int] | None = None
    structures: tuple[Structure, ...] = ()
    alignment: Alignment | None = None


def measure_cases(manifest: Manifest, data_dir: Path) -> list[CaseMeasurements]:
    """Measure all cases, several at a time, reading each file once; faults are recorded, not raised."""
    return for_each(
        lambda case: measure_case(case, data_dir, manifest.labels), manifest.cases, description="Measuring volumes"
    )


def measure_case(case: Case, data_dir: Path, labels: dict[str, int]) -> CaseMeasurements:
    """Measure one case; faults of its files are recorded, not raised."""
    image_state, image = _read(data_dir / case.image, case.image_sha256, read_volume)
    label_state, label = None, None
    if case.label:
        label_state, label = _read(data_dir / case.label, case.label_sha256, read_label)
    return CaseMeasurements(
        image=image_state,
        label=label_state,
        intensities=measure_intensities(image) if image else None,
        thumbnail=thumbnail(image) if image else None,
        voxels=_count(label) if label else None,
        structures=tuple(measure_structures(label, labels)) if label else (),
        alignment=_alignment(image, label),
    )


def _read(path: Path, digest: str | None, read: Callable[[Path], Volume]) -> tuple[FileState, Volume | None]:
    if not path.is_file():
        return FileState(missing=True), None
    changed = sha256(path) != digest
    try:
        volume = read(path)
    except NotFiniteError as error:
        return FileState(changed=changed, not_finite=str(error)), None
    except InputError as error:
        return FileState(changed=changed, unreadable=str(error)), None
    return FileState(changed=changed, grid=volume.source), volume


def _count(label: Volume) -> dict[int, int]:
    values, counts = np.unique(label.array, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _alignment(image: Volume | None, label: Volume | None) -> Alignment | None:
    if image is None or label is None or image.array.shape != label.array.shape:
        return None
    return measure_alignment(image, label)


@dataclass(frozen=True)
class IntensityStatistics:
    """Statistics of a scan's intensities, in the file's unit.

    Attributes:
        low, high: 1st and 99th percentile.
        distinct: whether any two voxels differ.
        flat_share: share of voxels that have exactly the median's value, which is any value that more
            than half of them have.
        blank_slices: slices in which no two voxels differ.
    """

    low: float
    high: float
    distinct: bool
    flat_share: float
    blank_slices: int


def measure_intensities(image: Volume) -> IntensityStatistics:
    """Measure an image whose voxels are all finite."""
    low, middle, high = np.percentile(image.array, (1, 50, 99), method="lower")
    within = tuple(axis for axis in range(3) if axis != image.slice_axis)
    blank = image.array.min(axis=within) == image.array.max(axis=within)
    return IntensityStatistics(
        low=float(low),
        high=float(high),
        distinct=bool(image.array.min() < image.array.max()),
        flat_share=float(np.mean(image.array == middle)),
        blank_slices=int(np.count_nonzero(blank)),
    )


@dataclass(frozen=True)
class Structure:
    """One class of a label map: its volume and its connected parts.

    Attributes:
        parts: number of connected components; voxels touch by a face, an edge or a corner.
        gap_mm: from the box around the largest part to the box around the farthest other one; 0 for a single part.
    """

    name: str
    millilitres: float
    parts: int
    gap_mm: float


def measure_structures(label: Volume, labels: dict[str, int]) -> list[Structure]:
    """Measure each foreground class of `labels` that `label` has a voxel of."""
    drawn = np.nonzero(label.array)
    if not len(drawn[0]):
        return []
    near = label.array[tuple(slice(axis.min(), axis.max() + 1) for axis in drawn)]
    parts = cc3d.connected_components(np.asfortranarray(near), connectivity=26)
    statistics = cc3d.statistics(parts)
    sizes = statistics["voxel_counts"][1:].astype(np.int64)
    boxes = np.array([[(axis.start, axis.stop) for axis in box] for box in statistics["bounding_boxes"][1:]])
    spacing, values = np.array(label.spacing), _class_of_each(parts, near)
    return [
        Structure(
            name=name,
            millilitres=float(sizes[of_class].sum() * spacing.prod() / 1000),
            parts=int(of_class.sum()),
            gap_mm=_largest_gap(sizes[of_class], boxes[of_class], spacing),
        )
        for name, value in labels.items()
        if value and (of_class := values == value).any()
    ]


def _class_of_each(parts: np.ndarray, classes: np.ndarray) -> np.ndarray:
    found = np.zeros(int(parts.max()) + 1, classes.dtype)
    found[parts.ravel()] = classes.ravel()
    return found[1:]


def _largest_gap(sizes: np.ndarray, boxes: np.ndarray, spacing: np.ndarray) -> float:
    """`boxes` (n, 3, 2) hold each axis' first voxel and the one past the last."""
    start, stop = boxes[sizes.argmax()].T
    between = np.maximum(np.maximum(boxes[:, :, 0] - stop, start - boxes[:, :, 1]), 0)
    return float(np.linalg.norm(between * spacing, axis=1).max())


# Shifts tried of a label map, in radii of a disc of the labelled area, and their directions. The rim of background that
# is included is as wide as the smallest shift.
_STEPS = (0.2, 0.4, 0.8)
_DIRECTIONS = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y)


@dataclass(frozen=True)
class Alignment:
    """Fit of a label map to its image.

    Attributes:
        fit_ratio: share of the image's variance that the classes explain (η²) where the label lies, over the highest
            share for the label shifted nearby; below 1 it would fit better elsewhere. None where the image is flat.
        dark_share: share of the labelled voxels that have the image's lowest value.
    """

    fit_ratio: float | None
    dark_share: float


def measure_alignment(image: Volume, label: Volume) -> Alignment | None:
    """Measure a label map on an image of the same shape, slice by slice; None where nothing is labelled."""
    labelled = label.array > 0
    if not labelled.any():
        return None
    dark = image.array[labelled] == image.array.min()
    picture, classes = (np.moveaxis(array, image.slice_axis, 0) for array in (image.array, label.array))
    return Alignment(_fit_ratio(picture, classes), float(dark.mean()))


def _fit_ratio(image: np.ndarray, label: np.ndarray) -> float | None:
    low, high = np.percentile(image, (1, 99))
    drawn = (label > 0).any(axis=(1, 2))
    image, label = np.clip(image[drawn], low, high), label[drawn]
    radius = float(np.sqrt(np.count_nonzero(label) / len(label) / np.pi))
    rim = _pixels(_STEPS[0], radius)
    near = binary_dilation(label > 0, np.ones((1, 2 * rim + 1, 2 * rim + 1)))
    # Voxels shifted out of the image land on NaN and are left out.
    margin = ((0, 0), *[(_pixels(_STEPS[-1], radius),) * 2] * 2)
    padded = np.pad(image.astype(np.float64), margin, constant_values=np.nan)
    pixels, classes = np.flatnonzero(np.pad(near, margin)), label[near].astype(np.intp)
    here, *elsewhere = (
        _explained(padded.ravel()[pixels + down * padded.shape[2] + across], classes)
        for down, across in [(0, 0), *_shifts(radius)]
    )
    return here / max(elsewhere) if max(elsewhere) > 0 else None


def _shifts(radius: float) -> list[tuple[int, int]]:
    directions = [(x / np.hypot(x, y), y / np.hypot(x, y)) for x, y in _DIRECTIONS]
    return [
        (round(x * far), round(y * far)) for far in (_pixels(step, radius) for step in _STEPS) for x, y in directions
    ]


def _pixels(step: float, radius: float) -> int:
    """A shift in whole pixels, at least two."""
    return max(2, round(step * radius))


def _explained(values: np.ndarray, classes: np.ndarray) -> float:
    """η²: variance between the classes' means over the total variance."""
    inside = ~np.isnan(values)
    values, classes = values[inside], classes[inside]
    if not len(values):
        return 0.0
    values = values - values.mean()
    counts = np.bincount(classes)
    means = np.bincount(classes, values) / np.maximum(counts, 1)
    whole = float(values @ values)
    return float(counts @ means**2) / whole if whole else 0.0


# Thumbnails find the same scan under another name, resolution, brightness or orientation. They are compared point by
# point, so a scan cropped to another field of view is not found.

THUMBNAIL_SHAPE = (8, 32, 32)
_ROWS = 256  # thumbnails compared with all others at once


@dataclass(frozen=True)
class Twin:
    """The scan most similar to another one: its index, and their correlation, at most 1."""

    index: int
    similarity: float


def thumbnail(image: Volume) -> np.ndarray:
    """Local contrast on a coarse grid (`THUMBNAIL_SHAPE`, slices first), with mean 0 and length 1: sums of products are
    correlations. All zeros for a flat scan."""
    slices = np.moveaxis(image.array, image.slice_axis, 0)
    low, high = np.percentile(slices, (1, 99))
    # Smooth by the thumbnail's pixel size against aliasing.
    widths = [0.4 * max(have / want - 1, 0) for have, want in zip(slices.shape, THUMBNAIL_SHAPE, strict=True)]
    smooth = gaussian_filter(np.clip(slices, low, high).astype(np.float32), widths, mode="nearest")
    small = zoom(smooth, np.array(THUMBNAIL_SHAPE) / smooth.shape, order=1, grid_mode=True, mode="nearest")
    # Bodies look alike as a whole; smaller structures tell them apart.
    local = small - gaussian_filter(small, (0, 3, 3), mode="nearest")
    local -= local.mean()
    length = float(np.linalg.norm(local))
    return (local / length if length > 0 else local).astype(np.float32)


def most_similar(thumbnails: Sequence[np.ndarray], persons: Sequence[str]) -> list[Twin | None]:
    """For each scan the most similar one of another person, mirrored or not; None where there is no other."""
    if not thumbnails:
        return []
    stack = np.stack(thumbnails)
    flat = stack.reshape(len(stack), -1)
    owners = np.unique(np.array(persons), return_inverse=True)[1]
    found: list[Twin | None] = []
    for start in range(0, len(stack), _ROWS):
        rows = slice(start, start + _ROWS)
        alike = np.max([_mirrored(stack[rows], axes) @ flat.T for axes in _MIRRORS], axis=0)
        alike[owners[rows, None] == owners[None]] = -np.inf
        for best, row in zip(alike.argmax(axis=1), alike, strict=True):
            found.append(Twin(int(best), float(row[best])) if np.isfinite(row[best]) else None)
    return found


_MIRRORS = [
    tuple(axis for axis, flipped in enumerate(flips, 1) if flipped) for flips in product((False, True), repeat=3)
]


def _mirrored(stack: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.flip(stack, axes).reshape(len(stack), -1)
