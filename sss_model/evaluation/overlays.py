"""Overlays: a few slices of a case that show where its prediction is right and where it is wrong.

Agreement is cool and faint, errors are warm and strong. Under deuteranopia, protanopia and tritanopia the three error
colours still differ in lightness.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sss_model.evaluation.metrics import Score
from sss_model.files import write_atomically
from sss_model.io.label_names import class_colour
from sss_model.io.volumes import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_SLICES = 3
_MARGIN_MM = 15.0
ERROR_COLOURS = {"missed": "#E5177B", "invented": "#FFD21F", "wrong class": "#FF7A00"}
_PANEL = 3.0  # inches
_BACKGROUND, _TEXT, _MUTED = "#101418", "#F2F5F7", "#9AA7B2"
_LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 8,
    "labelcolor": _TEXT,
    "handlelength": 1,
    "handleheight": 1,
    "columnspacing": 1.3,
    "handletextpad": 0.5,
}


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice, cropped and oriented for display.

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


def draw_overlay(
    image: Volume,
    truth: Volume,
    prediction: Volume,
    labels: Mapping[str, int],
    *,
    scores: Sequence[Score],
    path: Path,
) -> None:
    """Draw up to three telling slices of a case as one PNG.

    Shown as a radiologist expects: anterior (or superior) up, the patient's right on the viewer's left, pixels in the
    proportions of the spacing. Agreement has its class's colour, faintly, and the true outline; what was missed (truth
    only), invented (prediction only) or given the wrong class has a strong colour of its own.

    Args:
        image, truth, prediction: the scan and two label maps, on one grid.
        labels: class name to integer, background 0.
        scores: the case's scores, whose Dice the title shows.
    """
    planes = choose_slices(image, truth, prediction)
    legend = {name: class_colour(value) for name, value in labels.items() if value} | ERROR_COLOURS
    figure = _figure(planes, _heading(scores, len(planes)), legend)
    for axes, plane in zip(figure.axes, planes, strict=True):
        _draw_plane(axes, plane, labels)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor=_BACKGROUND, metadata={"Software": None})
    write_atomically(path, stream.getvalue())


def error_masks(truth: np.ndarray, prediction: np.ndarray) -> dict[str, np.ndarray]:
    """Masks of the three kinds of error, in the order of `ERROR_COLOURS`; together they are where the maps differ."""
    inside, claimed = truth != 0, prediction != 0
    return {
        "missed": inside & ~claimed,
        "invented": claimed & ~inside,
        "wrong class": inside & claimed & (truth != prediction),
    }


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


def _draw_plane(axes: Axes, plane: Plane, labels: Mapping[str, int]) -> None:
    black, white = plane.window
    axes.imshow(plane.image, cmap="gray", vmin=black, vmax=white, aspect=plane.aspect, interpolation="bicubic")
    axes.imshow(_colours(plane), aspect=plane.aspect, interpolation="nearest")
    for value in labels.values():
        if value and (plane.truth == value).any() and min(plane.truth.shape) > 1:
            axes.contour(plane.truth == value, levels=[0.5], colors=[class_colour(value)], linewidths=0.9)
    axes.set_title(plane.title, color=_MUTED, fontsize=8.5, pad=5)
    axes.set_axis_off()


def _colours(plane: Plane) -> np.ndarray:
    from matplotlib.colors import to_rgba

    picture = np.zeros((*plane.truth.shape, 4))
    right = plane.truth == plane.prediction
    for value in np.unique(plane.truth[right & (plane.truth != 0)]):
        picture[right & (plane.truth == value)] = to_rgba(class_colour(int(value)), 0.25)
    for kind, mask in error_masks(plane.truth, plane.prediction).items():
        picture[mask] = to_rgba(ERROR_COLOURS[kind], 0.8)
    return picture


def _figure(planes: Sequence[Plane], heading: str, legend: Mapping[str, str]) -> Figure:
    """A figure with heading, legend and an empty panel for each plane; lengths are in inches."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows, columns = planes[0].truth.shape
    width = _PANEL * max(len(planes), 2)
    in_a_row = int(width)
    above, below = 0.3 + 0.2 * len(heading.splitlines()), 0.15 + 0.2 * math.ceil(len(legend) / in_a_row)
    panel = float(np.clip(_PANEL * rows * planes[0].aspect / columns, 1.5, 4.5))
    height = above + panel + below
    figure = Figure(figsize=(width, height), dpi=120)
    figure.subplots(1, len(planes))
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - above / height, bottom=below / height, wspace=0.03)
    figure.text(0.012, 1 - 0.1 / height, heading, color=_TEXT, fontsize=10, va="top")
    handles = [Patch(color=colour, label=name) for name, colour in legend.items()]
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.004, 0), ncols=in_a_row, **_LEGEND)
    return figure


def _heading(scores: Sequence[Score], panels: int) -> str:
    dice = [f"{score.class_name} {'–' if score.dice is None else f'{score.dice:.3f}'}" for score in scores]
    parts = [f"{scores[0].case}:  Dice {dice[0]}", *dice[1:]]
    # No-break spaces inside a part: a line may end only between classes.
    whole = "   ".join(part.replace(" ", "\u00a0") for part in parts)
    return textwrap.fill(whole, width=38 * max(panels, 2), break_long_words=False)
