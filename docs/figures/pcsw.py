"""PCSW applied to a stack with a speck, a gap and a jump."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle

from docs.figures.canvas import BLUE, GREY, INK, ORANGE, PURPLE, RED, canvas, mixed, show
from sss_model.config import Pcsw
from sss_model.pcsw import Prompts, generate_prompts
from sss_model.pcsw.components import Components, find_components
from sss_model.pcsw.links import Links, find_links

SPACING = (10.0, 1.5, 1.5)
RING, DISC = 1, 2
CLASS_COLOURS = {RING: BLUE, DISC: ORANGE}
SLICES, SIDE = 8, 64


def stack() -> np.ndarray:
    """(SLICES, SIDE, SIDE) class map: a tapering ring and a disc, with errors that a network may make."""
    classes = np.zeros((SLICES, SIDE, SIDE), np.uint8)
    for index, plane in enumerate(classes):
        outer = 20.6 - 2 * index  # no ring shares a pixel with the next
        plane[_disc(24, 40, outer) & ~_disc(24, 40, outer - 1.9)] = RING
        plane[_disc(53, 11, 6.6)] = DISC
    classes[2, 4:7, 4:7] = RING  # a speck
    classes[3][classes[3] == RING] = 0  # a gap
    classes[5][classes[5] == DISC] = 0  # a jump
    classes[5][_disc(11, 11, 6.6)] = DISC
    return classes


def draw_pcsw() -> Figure:
    classes, config = stack(), Pcsw(enabled=True, warmup=0.0)
    confidence = np.full(classes.shape, 0.9, np.float32)
    prompts = generate_prompts(classes, confidence, foreground=2, spacing=SPACING, config=config)
    components = find_components(classes, confidence, 2)
    links = find_links(components, np.ones(len(components), bool), SPACING, config)

    figure, axes = canvas(width=9.2, height=5.75, units=(100, 62.5))
    width, pitch, left = 9.9, 10.5, 15.2
    lefts = [left + index * pitch for index in range(SLICES)]
    for index, at in enumerate(lefts):
        axes.text(at + width / 2, 61.2, f"slice {index + 1}", ha="center", va="center", color=GREY)
        show(axes, (at, 49.7), width, _coloured(classes[index]))
        show(axes, (at, 8.5), width, _outcome(classes[index], prompts, index))
        _boxes_of(axes, (at, 8.5), width, prompts, index)
    for at, text in (
        (54.7, "class map"),
        (42.6, f"windows of\nN = {config.window} slices,\nstride 1"),
        (29.0, "components\nand links"),
        (13.5, "what comes\nout"),
    ):
        axes.text(0.6, at, text, ha="left", va="center")
    middles = [at + width / 2 for at in lefts]
    _windows(axes, middles, config.window, top=45.6)
    _graph(axes, middles, components, links, prompts, bottom=20.2, top=37.0)
    _notes(axes, lefts, width)
    _legend(axes)
    return figure


def _disc(row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.asarray(np.hypot(rows - row, columns - column) <= radius)


def _coloured(classes: np.ndarray) -> np.ndarray:
    image = np.full((*classes.shape, 3), to_rgb("#f6f8fa"))
    for kind, colour in CLASS_COLOURS.items():
        image[classes == kind] = to_rgb(colour)
    return image


def _outcome(classes: np.ndarray, prompts: Prompts, index: int) -> np.ndarray:
    """Kept components in their colours, rejected ones grey, filled gaps pale."""
    image = _coloured(np.where(prompts.keep[index], classes, 0))
    image[~prompts.keep[index] & (classes > 0)] = to_rgb("#9aa3ad")
    for number in np.flatnonzero((prompts.slices == index) & prompts.filled):
        mine = CLASS_COLOURS[int(prompts.classes[number])]
        image[prompts.components[index] == number + 1] = mixed(mine, 0.35)
    return image


def _boxes_of(axes: Axes, corner: tuple[float, float], width: float, prompts: Prompts, index: int) -> None:
    scale = width / SIDE
    for number in np.flatnonzero(prompts.slices == index):
        x0, y0, x1, y1 = prompts.boxes[number]
        colour = CLASS_COLOURS[int(prompts.classes[number])]
        at = (corner[0] + x0 * scale, corner[1] + width - y1 * scale)
        size = ((x1 - x0) * scale, (y1 - y0) * scale)
        axes.add_patch(Rectangle(at, *size, fill=False, edgecolor=colour, linewidth=1.1, linestyle=(0, (3, 1.5))))
        x, y = prompts.points[number]
        axes.plot(corner[0] + x * scale, corner[1] + width - y * scale, "o", ms=3.2, mfc="white", mec=INK, mew=0.7)


def _windows(axes: Axes, middles: list[float], window: int, *, top: float) -> None:
    for start in range(len(middles) - window + 1):
        y = top - 2.6 * (start % window)
        ends = middles[start] - 3.4, middles[start + window - 1] + 3.4
        axes.plot(ends, (y, y), color=PURPLE, linewidth=1.4, solid_capstyle="butt")
        for end in ends:
            axes.plot((end, end), (y, y - 0.9), color=PURPLE, linewidth=1.4)


def _graph(
    axes: Axes, middles: list[float], found: Components, links: Links, prompts: Prompts, *, bottom: float, top: float
) -> None:
    rows = found.moments[:, 1] / (2 * found.areas)
    positions = [(middles[at], top - (top - bottom) * row / SIDE) for at, row in zip(found.slices, rows, strict=True)]
    for one, other in zip(links.earlier, links.later, strict=True):
        far = found.slices[other] - found.slices[one] > 1
        bend = "arc3,rad=0.28" if far else "arc3"
        ends = positions[one], positions[other]
        axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-", connectionstyle=bend, color=GREY))
    first = np.unique(found.labels, return_index=True)[1][1:]
    kept = prompts.keep.reshape(-1)[first]
    for position, kind, stays in zip(positions, found.classes, kept, strict=True):
        face = CLASS_COLOURS[int(kind)] if stays else "white"
        edge = CLASS_COLOURS[int(kind)] if stays else GREY
        axes.add_patch(Circle(position, 0.95, facecolor=face, edgecolor=edge, linewidth=1.3, zorder=3))
        if not stays:
            axes.text(position[0] + 1.6, position[1], "no link", color=GREY, va="center")


def _notes(axes: Axes, lefts: list[float], width: float) -> None:
    for index, text in ((2, "speck"), (3, "gap"), (5, "jump")):
        axes.text(lefts[index] + width / 2, 48.0, text, ha="center", va="center", color=RED)
    for index, text in ((2, "speck ignored"), (3, "gap prompts"), (5, "jump ignored,\ngap prompts")):
        axes.text(lefts[index] + width / 2, 7.6, text, ha="center", va="top", color=RED)


def _legend(axes: Axes) -> None:
    at = 15.2
    for colour, text, step in (
        (BLUE, "ring", 8.5),
        (ORANGE, "disc", 8.5),
        ("#9aa3ad", "rejected: ignored", 19.5),
        (mixed(BLUE, 0.35), "fills a gap: prompts, ignored", 29.0),
    ):
        axes.add_patch(Rectangle((at, 1.0), 1.8, 1.8, facecolor=colour, edgecolor="none"))
        axes.text(at + 2.6, 1.9, text, va="center")
        at += step
    axes.plot((at, at + 2.2), (1.9, 1.9), color=INK, linewidth=1.1, linestyle=(0, (3, 1.5)))
    axes.text(at + 3, 1.9, "box", va="center")
    axes.plot(at + 8.3, 1.9, "o", ms=3.6, mfc="white", mec=INK, mew=0.7)
    axes.text(at + 9.6, 1.9, "point", va="center")
