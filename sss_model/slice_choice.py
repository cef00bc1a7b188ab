"""Which slices of a case to show, cut out and turned as they are looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sss_model.volumes import Volume

_SLICES = 3
_MARGIN_MM = 15.0


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice, ready to look at.

    Attributes:
        image, truth, prediction: (rows, columns), first row on top.
        aspect: height of a pixel over its width, in mm.
        window: the intensities shown as black and as white.
        title: which slice it is, and why it was chosen.
    """

    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    aspect: float
    window: tuple[float, float]
    title: str


def choose_slices(image: Volume, truth: Volume, prediction: Volume) -> list[Plane]:
    """Up to three slices along the scan's coarsest axis, in the order of the scan.

    Chosen are the one with the largest structures, the one with most errors and the one where the overlap is worst;
    where these coincide, those with the next most errors fill up. All are cut to one box that holds every structure.

    Args:
        image, truth, prediction: a scan and two label maps, on one grid.
    """
    axis = image.slice_axis
    across, down = (image.spacing[other] for other in range(3) if other != axis)
    scan, true, predicted = (np.moveaxis(volume.array, axis, 0) for volume in (image, truth, prediction))
    box = _box((true != 0) | (predicted != 0), (across, down))
    black, white = np.percentile(scan[:, *box], (0.5, 99.5))
    return [
        Plane(
            image=_as_viewed(scan[index, *box]),
            truth=_as_viewed(true[index, *box]),
            prediction=_as_viewed(predicted[index, *box]),
            aspect=down / across,
            window=(float(black), float(white)),
            title=" · ".join([f"slice {index + 1} of {len(scan)}", *reasons]),
        )
        for index, reasons in sorted(telling_slices(true, predicted).items())
    ]


def telling_slices(truth: np.ndarray, prediction: np.ndarray) -> dict[int, list[str]]:
    """Indices of the slices worth showing, with the reasons, for label maps (slices, …)."""
    if len(truth) == 1:
        return {0: []}
    structures = ((truth != 0).sum(axis=(1, 2)) + (prediction != 0).sum(axis=(1, 2))).astype(float)
    errors = (truth != prediction).sum(axis=(1, 2)).astype(float)
    if not structures.any():
        return {len(truth) // 2: ["nothing there, nothing found"]}
    chosen: dict[int, list[str]] = {int(structures.argmax()): ["largest"]}
    if errors.any():
        chosen.setdefault(int(errors.argmax()), []).append("most errors")
        chosen.setdefault(int((errors / np.maximum(structures, 1)).argmax()), []).append("lowest overlap")
    by_errors = np.lexsort((-structures, -errors))
    others = [int(index) for index in by_errors if structures[index] and int(index) not in chosen]
    return chosen | {index: [] for index in others[: _SLICES - len(chosen)]}


def _box(anything: np.ndarray, spacing: tuple[float, float]) -> tuple[slice, slice]:
    """The in-plane box round all structures of a (slices, A, B) mask, with a margin; the whole plane without any."""
    if not anything.any():
        return slice(None), slice(None)
    first, second = (np.asarray(anything.any(axis=(0, other))) for other in (2, 1))
    return _span(first, round(_MARGIN_MM / spacing[0])), _span(second, round(_MARGIN_MM / spacing[1]))


def _span(used: np.ndarray, margin: int) -> slice:
    where = np.flatnonzero(used)
    return slice(max(int(where[0]) - margin, 0), int(where[-1]) + margin + 1)


def _as_viewed(plane: np.ndarray) -> np.ndarray:
    """Two axes in ascending anatomical order to (rows, columns): the second upwards, the first to the left.

    So the patient's right is on the viewer's left, and anterior (axial slices) or superior (others) is on top.
    """
    return plane[::-1, ::-1].T
