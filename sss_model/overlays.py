"""Pictures of where a prediction is right and where it is wrong, in colours that the colour-blind can tell apart."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sss_model.colours import class_colour
from sss_model.files import write_atomically
from sss_model.metrics import Score
from sss_model.slice_choice import Plane, choose_slices
from sss_model.volumes import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Agreement is cool and faint, errors are warm and strong. Under deuteranopia, protanopia and tritanopia the three error
# colours still differ in lightness.
ERROR_COLOURS = {"missed": "#E5177B", "invented": "#FFD21F", "wrong class": "#FF7A00"}
_PANEL = 3.0
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
