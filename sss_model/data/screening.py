"""Everything that the gate asks of one case's files, found in one reading of them."""

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
from sss_model.io.volumes import NotFiniteError, Source, Volume, read_label, read_volume
from sss_model.parallel import for_each

# How bright a scan is, and how much of it says nothing.


@dataclass(frozen=True)
class Intensities:
    """A scan's brightness, in the file's unit.

    Attributes:
        low, high: 1st and 99th percentile.
        distinct: whether any two voxels differ.
        flat_share: the share of voxels that have the median's value exactly: of the commonest one, if that is more than
            half of the scan.
        blank_slices: slices in which no two voxels differ.
    """

    low: float
    high: float
    distinct: bool
    flat_share: float
    blank_slices: int


def measure_intensities(image: Volume) -> Intensities:
    """Of an image whose voxels are all finite."""
    low, middle, high = np.percentile(image.array, (1, 50, 99), method="lower")
    within = tuple(axis for axis in range(3) if axis != image.slice_axis)
    blank = image.array.min(axis=within) == image.array.max(axis=within)
    return Intensities(
        low=float(low),
        high=float(high),
        distinct=bool(image.array.min() < image.array.max()),
        flat_share=float(np.mean(image.array == middle)),
        blank_slices=int(np.count_nonzero(blank)),
    )


# Where a structure lies and how large it is, as its label map says.


@dataclass(frozen=True)
class Structure:
    """One class in one label map.

    Attributes:
        name: the class.
        millilitres: its volume.
        parts: how many connected parts it has; voxels touch by a face, an edge or a corner.
        gap_mm: from the box around its largest part to the box around the farthest other one; 0 for a single part.
    """

    name: str
    millilitres: float
    parts: int
    gap_mm: float


def measure_structures(label: Volume, labels: dict[str, int]) -> list[Structure]:
    """Every class of `labels`, background apart, that `label` has a voxel of."""
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
    """From the largest part; `boxes` (n, 3, 2) hold each axis' first voxel and the one past the last."""
    start, stop = boxes[sizes.argmax()].T
    between = np.maximum(np.maximum(boxes[:, :, 0] - stop, start - boxes[:, :, 1]), 0)
    return float(np.linalg.norm(between * spacing, axis=1).max())


# Whether a label map lies on what it outlines.


# How far a label map is moved to see whether it would fit better there, in radii of a disc of the labelled area, and in
# which directions. The rim of background that counts, too, is as wide as the smallest move.
_STEPS = (0.2, 0.4, 0.8)
_DIRECTIONS = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y)


@dataclass(frozen=True)
class Alignment:
    """How a label map sits on its image.

    Attributes:
        fit_ratio: the share of the image's variance that the label's classes explain (η²) where the label is, over the
            share they explain where it would fit best nearby; below 1 the label would fit better elsewhere. None where
            the image is flat.
        dark_share: labelled voxels that have the image's lowest value, as a share of all labelled ones.
    """

    fit_ratio: float | None
    dark_share: float


def measure_alignment(image: Volume, label: Volume) -> Alignment | None:
    """Of an image and a label map of the same shape, slice by slice; None where nothing is labelled."""
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
    # What a move takes out of the image lands on NaN and is left out.
    margin = ((0, 0), *[(_pixels(_STEPS[-1], radius),) * 2] * 2)
    padded = np.pad(image.astype(np.float64), margin, constant_values=np.nan)
    places, classes = np.flatnonzero(np.pad(near, margin)), label[near].astype(np.intp)
    here, *elsewhere = (
        _explained(padded.ravel()[places + down * padded.shape[2] + across], classes)
        for down, across in [(0, 0), *_moves(radius)]
    )
    return here / max(elsewhere) if max(elsewhere) > 0 else None


def _moves(radius: float) -> list[tuple[int, int]]:
    ways = [(x / np.hypot(x, y), y / np.hypot(x, y)) for x, y in _DIRECTIONS]
    return [(round(x * far), round(y * far)) for far in (_pixels(step, radius) for step in _STEPS) for x, y in ways]


def _pixels(step: float, radius: float) -> int:
    """A move in whole pixels, none shorter than two."""
    return max(2, round(step * radius))


def _explained(values: np.ndarray, classes: np.ndarray) -> float:
    """η²: the variance between the classes' means over the whole variance."""
    inside = ~np.isnan(values)
    values, classes = values[inside], classes[inside]
    if not len(values):
        return 0.0
    values = values - values.mean()
    counts = np.bincount(classes)
    means = np.bincount(classes, values) / np.maximum(counts, 1)
    whole = float(values @ values)
    return float(counts @ means**2) / whole if whole else 0.0


# A scan at a glance, so that the same scan is known again under another name, resolution, brightness or direction.
#
# A scan that was cropped to another field of view is not known again: thumbnails are compared point by point.


SHAPE = (8, 32, 32)
_ROWS = 256  # thumbnails compared with all others at once


@dataclass(frozen=True)
class Twin:
    """The scan most like another one: its number, and their correlation, at most 1."""

    index: int
    similarity: float


def thumbnail(image: Volume) -> np.ndarray:
    """The scan's local contrast on a coarse grid of `SHAPE`, slices first, with mean 0 and length 1: sums of products
    are correlations. All zeros for a flat scan."""
    slices = np.moveaxis(image.array, image.slice_axis, 0)
    low, high = np.percentile(slices, (1, 99))
    # Smooth by what the thumbnail's pixels cover, so that picking some of them doesn't alias.
    widths = [0.4 * max(have / want - 1, 0) for have, want in zip(slices.shape, SHAPE, strict=True)]
    smooth = gaussian_filter(np.clip(slices, low, high).astype(np.float32), widths, mode="nearest")
    small = zoom(smooth, np.array(SHAPE) / smooth.shape, order=1, grid_mode=True, mode="nearest")
    # Bodies are alike at large: what tells one from another are its smaller structures.
    local = small - gaussian_filter(small, (0, 3, 3), mode="nearest")
    local -= local.mean()
    length = float(np.linalg.norm(local))
    return (local / length if length > 0 else local).astype(np.float32)


def most_alike(thumbnails: Sequence[np.ndarray], persons: Sequence[str]) -> list[Twin | None]:
    """For each scan the one of another person that it resembles most, mirrored or not; None where there is no other."""
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


_MIRRORS = [tuple(axis for axis, turned in enumerate(turns, 1) if turned) for turns in product((False, True), repeat=3)]


def _mirrored(stack: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.flip(stack, axes).reshape(len(stack), -1)


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """One file as it is now.

    Attributes:
        missing: whether it is not there.
        changed: whether its bytes are not those that the manifest names.
        unreadable, not_finite: the sentence why it can't be used; at most one of the two.
        grid: its own grid, None where it can't be used.
    """

    missing: bool = False
    changed: bool = False
    unreadable: str | None = None
    not_finite: str | None = None
    grid: Source | None = None


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """One case's files as they are now; None where they can't be read, or where there is no label.

    Attributes:
        voxels: label value to number of voxels.
        structures: by class.
        alignment: None also where image and label differ in shape, or nothing is labelled.
        thumbnail: see `screening.thumbnail`.
    """

    image: FileFacts
    label: FileFacts | None
    intensities: Intensities | None = None
    thumbnail: np.ndarray | None = None
    voxels: dict[int, int] | None = None
    structures: tuple[Structure, ...] = ()
    alignment: Alignment | None = None


def measure_cases(manifest: Manifest, data_dir: Path) -> list[CaseFacts]:
    """Read every file that the manifest names once, several cases at a time; nothing that is wrong with one raises."""
    return for_each(
        lambda case: measure_case(case, data_dir, manifest.labels), manifest.cases, description="Measuring volumes"
    )


def measure_case(case: Case, data_dir: Path, labels: dict[str, int]) -> CaseFacts:
    """Read one case's image and label; whatever is wrong with them is among the facts."""
    image_facts, image = _look(data_dir / case.image, case.image_sha256, read_volume)
    label_facts, label = None, None
    if case.label:
        label_facts, label = _look(data_dir / case.label, case.label_sha256, read_label)
    return CaseFacts(
        image=image_facts,
        label=label_facts,
        intensities=measure_intensities(image) if image else None,
        thumbnail=thumbnail(image) if image else None,
        voxels=_count(label) if label else None,
        structures=tuple(measure_structures(label, labels)) if label else (),
        alignment=_alignment(image, label),
    )


def _look(path: Path, digest: str | None, read: Callable[[Path], Volume]) -> tuple[FileFacts, Volume | None]:
    if not path.is_file():
        return FileFacts(missing=True), None
    changed = sha256(path) != digest
    try:
        volume = read(path)
    except NotFiniteError as error:
        return FileFacts(changed=changed, not_finite=str(error)), None
    except InputError as error:
        return FileFacts(changed=changed, unreadable=str(error)), None
    return FileFacts(changed=changed, grid=volume.source), volume


def _count(label: Volume) -> dict[int, int]:
    values, counts = np.unique(label.array, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _alignment(image: Volume | None, label: Volume | None) -> Alignment | None:
    if image is None or label is None or image.array.shape != label.array.shape:
        return None
    return measure_alignment(image, label)
