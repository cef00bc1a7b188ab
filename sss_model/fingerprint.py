"""What the scans of a training look like, and whether another scan looks like them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from sss_model.appearance import Range, range_of, unlike_appearance
from sss_model.volumes import Volume

_MARGIN = 0.2
"""How far beyond what was seen a scan may lie: augmentation zooms by about as much."""


class Fingerprint(BaseModel):
    """The smallest and the largest value among a training's scans, lengths in millimetres."""

    model_config = ConfigDict(frozen=True)
    pixel_mm: Range
    """Both axes of a slice."""
    slice_distance_mm: Range
    field_of_view_mm: Range
    """Sides of a slice."""
    intensities: dict[str, Range] | None = None
    """See `sss_model.appearance`; None in checkpoints of before they were kept."""


def fingerprint(
    scans: Sequence[tuple[Sequence[int], Sequence[float]]], appearances: Sequence[Mapping[str, float]] = ()
) -> Fingerprint:
    """The fingerprint of at least one scan.

    Args:
        scans: each given as voxels per axis and millimetres per axis.
        appearances: of the same scans, see `sss_model.appearance.measure_appearance`.
    """
    grids = [_grid(shape, spacing) for shape, spacing in scans]
    return Fingerprint(
        pixel_mm=_range([mm for pixels, _, _ in grids for mm in pixels]),
        slice_distance_mm=_range([distance for _, distance, _ in grids]),
        field_of_view_mm=_range([side for _, _, sides in grids for side in sides]),
        intensities=range_of(appearances) or None,
    )


def unlike(seen: Fingerprint, volume: Volume, appearance: Mapping[str, float] | None = None) -> Iterator[str]:
    """A sentence for each way in which a scan lies far outside of what training saw: in lengths by a fifth.

    Args:
        appearance: the scan's, where its intensities are to be compared, too.
    """
    pixels, distance, sides = _grid(volume.array.shape, volume.spacing)
    yield from _outside("pixels", pixels, seen.pixel_mm)
    # A single slice, a picture, has no distance to the next one.
    if volume.array.shape[volume.slice_axis] > 1:
        yield from _outside("slice distance", [distance], seen.slice_distance_mm)
    yield from _outside("field of view", sides, seen.field_of_view_mm)
    yield from unlike_appearance(seen.intensities or {}, appearance or {})


def _outside(what: str, found: Sequence[float], seen: Range) -> Iterator[str]:
    low, high = seen[0] * (1 - _MARGIN), seen[1] * (1 + _MARGIN)
    strange = [mm for mm in found if not low <= mm <= high]
    if strange:
        yield f"{what} of {strange[0]:.4g} mm, training saw {seen[0]:.4g} to {seen[1]:.4g} mm"


def _grid(shape: Sequence[int], spacing: Sequence[float]) -> tuple[list[float], float, list[float]]:
    """Both pixel sides, the slice distance and both sides of a slice, in mm; the coarsest axis is the slices'."""
    *pixels, across = sorted(range(3), key=lambda axis: spacing[axis])
    return (
        [spacing[axis] for axis in pixels],
        spacing[across],
        [shape[axis] * spacing[axis] for axis in pixels],
    )


def _range(values: Sequence[float]) -> Range:
    return round(min(values), 4), round(max(values), 4)
