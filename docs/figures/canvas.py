"""Shapes and colours of all figures."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

INK, GREY, PALE = "#24292f", "#6e7781", "#eaeef2"
BLUE, ORANGE, GREEN, RED, PURPLE = "#2f6fb3", "#d9822b", "#2e7d4f", "#b3402f", "#7a4fa3"


def canvas(*, width: float, height: float, units: tuple[float, float]) -> tuple[Figure, Axes]:
    """A white figure of so many inches, and axes over all of it; 9.2 inches are the width of a page on GitHub."""
    figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, units[0]), ylim=(0, units[1]))
    axes.set_aspect("equal")
    axes.autoscale(False)
    axes.axis("off")
    return figure, axes


def panel(
    axes: Axes, corner: tuple[float, float], size: tuple[float, float], colour: str, title: str, *, at_top: bool
) -> None:
    axes.add_patch(Rectangle(corner, *size, facecolor=colour, edgecolor="none", zorder=0))
    y = corner[1] + size[1] - 1.0 if at_top else corner[1] + 0.9
    axes.text(corner[0] + 1, y, title, color=GREY, va="top" if at_top else "bottom")


def box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str, *, filled: bool = False
) -> None:
    shape = FancyBboxPatch(
        (x - width / 2 + 0.6, y - height / 2 + 0.6),
        width - 1.2,
        height - 1.2,
        boxstyle="round,pad=0.6",
        facecolor=mixed(colour, 0.16) if filled else "white",
        edgecolor=colour,
        linewidth=1.2,
        zorder=2,
    )
    axes.add_patch(shape)
    axes.text(x, y, text, ha="center", va="center", linespacing=1.15, zorder=3)


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, *, dashed: bool = False
) -> None:
    line = (0, (3, 2)) if dashed else "-"
    patch = FancyArrowPatch(
        start,
        end,
        arrowstyle="-|>",
        mutation_scale=9,
        shrinkA=0,
        shrinkB=0,
        color=colour,
        linewidth=1.2,
        linestyle=line,
    )
    axes.add_patch(patch)


def detour(axes: Axes, corners: list[tuple[float, float]], colour: str) -> None:
    *before, last = corners
    axes.plot(*zip(*before, strict=True), color=colour, linewidth=1.2, zorder=1)
    arrow(axes, before[-1], last, colour)


def show(axes: Axes, corner: tuple[float, float], width: float, image: np.ndarray) -> None:
    """Draw a square RGB image (S, S, 3), its pixels sharp, with its lower left corner there."""
    sharp = np.kron(image, np.ones((4, 4, 1)))
    (x, y) = corner
    axes.imshow(sharp, extent=(x, x + width, y, y + width), interpolation="none", aspect="auto")
    axes.add_patch(Rectangle(corner, width, width, fill=False, edgecolor="#c4cbd3", linewidth=0.8))


def mixed(colour: str, share: float) -> tuple[float, float, float]:
    """So much of a colour, the rest white."""
    red, green, blue = (share * part + 1 - share for part in to_rgb(colour))
    return red, green, blue
