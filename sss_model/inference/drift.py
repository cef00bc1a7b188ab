"""Fingerprint of the scans of a training, and warnings about a scan that is unlike them.

Lengths are compared in millimetres; intensities as the network sees them, so that no scanner's units matter:
standardised for MRI and photographs, whose units mean nothing, scaled by the recipe's window for CT, whose Hounsfield
units mean something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from sss_model.config import Data
from sss_model.data.preprocessing import centre
from sss_model.io.volumes import Volume

Range = tuple[float, float]

_MARGIN = 0.2
"""Share by which a length may exceed the training's range: augmentation zooms by about as much."""
_QUANTILES = {"tone_05": 0.05, "tone_25": 0.25, "tone_50": 0.5, "tone_75": 0.75, "tone_95": 0.95}
_INSIDE, _ROUGHNESS = "inside_window", "roughness"
_WIDER = 0.5
"""How far beyond the training's range an intensity measure may lie, as a multiple of the length of that range."""
_LEAST = {**dict.fromkeys(_QUANTILES, 0.3), _INSIDE: 0.1, _ROUGHNESS: 0.1}
"""The least that is allowed beyond a range: that of a few scans is narrower than what they stand for."""


class Fingerprint(BaseModel):
    """The smallest and the largest value among a training's scans, lengths in millimetres."""

    model_config = ConfigDict(frozen=True)
    pixel_mm: Range
    """Both axes of a slice."""
    slice_distance_mm: Range
    field_of_view_mm: Range
    """Sides of a slice."""
    intensities: dict[str, Range] | None = None
    """Of each measure of `measure_appearance`; None in a checkpoint that holds none."""


def fingerprint(
    scans: Sequence[tuple[Sequence[int], Sequence[float]]], appearances: Sequence[Mapping[str, float]] = ()
) -> Fingerprint:
    """The fingerprint of at least one scan.

    Args:
        scans: each given as voxels per axis and millimetres per axis.
        appearances: of the same scans, see `measure_appearance`.
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


def measure_appearance(slices: np.ndarray, *, windowed: bool) -> dict[str, float]:
    """Measure one scan.

    Args:
        slices: (D, S, S), or (D, 3, S, S) in colour, as the network sees them.
        windowed: whether they are scaled by a window, whose limits are -2 and 2.

    Returns:
        Five quantiles of the intensities (``tone_05`` to ``tone_95``); ``roughness``, how much neighbouring pixels
        differ, in standard deviations; and ``inside_window``, the share of pixels inside the window, if there is one.
    """
    values = np.asarray(slices, dtype=np.float32)
    found = dict(zip(_QUANTILES, map(float, np.quantile(values, list(_QUANTILES.values()))), strict=True))
    found[_ROUGHNESS] = _roughness(values)
    if windowed:
        found[_INSIDE] = float(np.mean((values > -2) & (values < 2)))
    return found


def measure_cached(scans: Sequence[np.ndarray], config: Data) -> list[dict[str, float]]:
    """Measure scans as they are cached for training, with more around than the network sees; one is read at a time."""
    seen = (centre(torch.from_numpy(np.array(scan)), config.size, fill=0).numpy() for scan in scans)
    return [measure_appearance(slices, windowed=config.window is not None) for slices in seen]


def range_of(scans: Sequence[Mapping[str, float]]) -> dict[str, Range]:
    """The smallest and the largest of each number among some scans."""
    names = scans[0] if scans else {}
    return {
        name: (round(min(scan[name] for scan in scans), 4), round(max(scan[name] for scan in scans), 4))
        for name in names
    }


def unlike_appearance(seen: Mapping[str, Range], scan: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each way in which a scan's intensities lie far outside of what training saw."""
    strange = {name: excess for name in seen.keys() & scan.keys() if (excess := _excess(seen[name], scan, name)) > 1}
    tones = [name for name in _QUANTILES if name in strange]
    if tones:
        worst = max(tones, key=strange.__getitem__)
        yield (
            f"other tones: {_QUANTILES[worst]:.0%} of it is darker than {scan[worst]:.2f}, "
            f"training saw {seen[worst][0]:.2f} to {seen[worst][1]:.2f} (in the network's unit)"
        )
    if _INSIDE in strange:
        low, high = seen[_INSIDE]
        yield f"{scan[_INSIDE]:.0%} of it inside the window of intensities, training saw {low:.0%} to {high:.0%}"
    if _ROUGHNESS in strange:
        low, high = seen[_ROUGHNESS]
        what = "noise" if scan[_ROUGHNESS] > high else "blur"
        yield (
            f"{what}: neighbouring pixels differ by {scan[_ROUGHNESS]:.2f} standard deviations, "
            f"training saw {low:.2f} to {high:.2f}"
        )


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


def _excess(seen: Range, scan: Mapping[str, float], name: str) -> float:
    """How far beyond the range a scan lies, as a multiple of what is allowed."""
    low, high = seen
    beyond = max(low - scan[name], scan[name] - high, 0.0)
    return beyond / max(_WIDER * (high - low), _LEAST[name])


def _roughness(values: np.ndarray) -> float:
    spread = float(values.std())
    if not spread:
        return 0.0
    return float(np.abs(np.diff(values, axis=-1)).mean() + np.abs(np.diff(values, axis=-2)).mean()) / (2 * spread)
