"""One training step: three streams, one student, one teacher."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from docs.figures.canvas import BLUE, GREEN, GREY, RED, arrow, box, canvas, detour, panel

LABELLED, STRONG, WEAK = 57.5, 37.0, 11.0
COLUMNS = {"view": 9.0, "E": 25.0, "DFE": 39.0, "D": 52.5, "PCSW": 65.0, "memory": 77.0, "loss": 94.0}
FUSED = 85.2


def draw_step() -> Figure:
    figure, axes = canvas(width=9.2, height=6.44, units=(100, 70))
    panel(axes, (17.5, 29.5), (70.5, 39.5), "#f1f6fc", "student: the same weights in both rows", at_top=True)
    panel(axes, (17.5, 3.0), (70.5, 19.5), "#eef7f0", "teacher: its moving average, no gradient", at_top=False)
    for row, colour in ((LABELLED, BLUE), (STRONG, RED), (WEAK, GREEN)):
        _stream(axes, row, colour)
    _views(axes)
    _target(axes)
    arrow(axes, (COLUMNS["E"] + 1, WEAK + 4), (COLUMNS["DFE"] - 2, STRONG - 4), GREEN, dashed=True)
    axes.text(33.6, 25.3, "partner in DFE,\nstop-gradient", color=GREEN, ha="left", va="center")
    arrow(axes, (53, 29.5), (53, 22.5), GREY)
    axes.text(54, 26.0, "EMA after each step", color=GREY, va="center")
    return figure


def _stream(axes: Axes, row: float, colour: str) -> None:
    pairing = {
        LABELLED: "DFE\nwith itself",
        STRONG: "DFE with weak\nor itself, then\nchannel dropout",
        WEAK: "DFE\nwith itself",
    }
    parts = {
        "E": ("image\nencoder\nE_img", 9.0),
        "DFE": (pairing[row], 13.0),
        "D": ("feature\ndecoder\nD_sam", 9.0),
        "PCSW": ("PCSW's\nprompts", 9.0),
        "memory": ("memory\ndecoder", 9.6),
    }
    if row == LABELLED:
        parts["PCSW"] = ("own, no or\nlabels'\nprompts", 10.2)
    ends = [COLUMNS["view"] + 7.5]
    for name, (text, width) in parts.items():
        box(axes, COLUMNS[name], row, width, 8.0, text, colour)
        arrow(axes, (ends[-1], row), (COLUMNS[name] - width / 2, row), colour)
        ends.append(COLUMNS[name] + width / 2)
    axes.add_patch(Circle((FUSED, row), 1.25, facecolor="white", edgecolor=colour, linewidth=1.2, zorder=3))
    axes.text(FUSED, row - 0.05, "+", color=colour, ha="center", va="center", zorder=4)
    arrow(axes, (ends[-1], row), (FUSED - 1.25, row), colour)
    detour(axes, [(COLUMNS["D"], row + 4), (COLUMNS["D"], row + 6.2), (FUSED, row + 6.2), (FUSED, row + 1.25)], colour)
    axes.text(
        (COLUMNS["PCSW"] + COLUMNS["memory"]) / 2, row + 6.5, "class logits", color=colour, ha="center", va="bottom"
    )
    arrow(axes, (FUSED + 1.25, row), (COLUMNS["loss"] - 5.2, row), colour)


def _views(axes: Axes) -> None:
    for row, text, colour in (
        (LABELLED, "labelled clip,\nmoved and\nrecoloured", BLUE),
        (STRONG, "two strong\nviews", RED),
        (WEAK, "unlabelled clip:\nweak view\n(moved)", GREEN),
    ):
        box(axes, COLUMNS["view"], row, 15.0, 8.6, text, colour, filled=True)
    arrow(axes, (COLUMNS["view"] - 3, WEAK + 4.3), (COLUMNS["view"] - 3, STRONG - 4.3), RED)
    axes.text(COLUMNS["view"] - 2, 24.5, "recolour,\nCutMix", color=RED, va="center")
    arrow(axes, (COLUMNS["view"] - 3, LABELLED - 4.3), (COLUMNS["view"] - 3, STRONG + 4.3), BLUE)
    axes.text(COLUMNS["view"] - 2, 47.2, "CutMix's box,\nwith its label", color=BLUE, va="center")


def _target(axes: Axes) -> None:
    box(axes, COLUMNS["loss"], LABELLED, 10.4, 8.0, "loss against\nlabels", BLUE, filled=True)
    box(axes, COLUMNS["loss"], STRONG, 10.4, 8.0, "loss against\ntarget", RED, filled=True)
    box(axes, COLUMNS["loss"], WEAK, 10.4, 9.6, "target:\nconfident,\nkept by PCSW", GREEN, filled=True)
    arrow(axes, (COLUMNS["loss"], WEAK + 4.8), (COLUMNS["loss"], STRONG - 4), GREEN)
