"""Charts as SVG by matplotlib, in the colours of the page that embeds them, light or dark."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 380, 194
_SPREAD_WIDTH, _SPREAD_ROW = 1010, 36
_TEXT = 11

# matplotlib takes colours as numbers; the page's take their place in the finished SVG.
_INK, _MUTED, _LINE, _ACCENT, _CARD = (f"#00000{number}" for number in range(1, 6))
_OF_THE_PAGE = dict(
    zip((_INK, _MUTED, _LINE, _ACCENT, _CARD), ("--ink", "--muted", "--line", "--accent", "--card"), strict=True)
)


@dataclass(frozen=True)
class Chart:
    """A chart with its heading; `svg` is an element to embed, which says what it shows in its ``aria-label``."""

    title: str
    note: str
    svg: Markup


class Spread(NamedTuple):
    """The Dice of one class in every case, as (Dice, case), and the colour of the class."""

    name: str
    colour: str
    dice: Sequence[tuple[float, str]]


def line_chart(title: str, steps: Sequence[float], values: Sequence[float], *, top: float = 0.0) -> Chart:
    """Draw a scalar over the steps of a training; `steps` ascend, and the axis includes 0 and `top`."""
    with _style():
        figure, axes = _figure()
        _limits(axes, _ticks(0, max(steps)), _ticks(min(0.0, *values), max(top, *values)))
        axes.plot(steps, values, color=_ACCENT, linewidth=1.8, solid_joinstyle="round")
        # A single point is no line, and would not be seen.
        axes.plot(steps[-1:], values[-1:], "o", color=_ACCENT, markersize=6, markeredgewidth=0)
        note = f"{values[-1]:.3f} at the end"
        return Chart(title, note, _svg(figure, f"{title}, {note}"))


def bland_altman(
    title: str, pairs: Sequence[tuple[float, float, str]], agreement: Mapping[str, float | None], *, unit: str
) -> Chart:
    """Draw measured minus true over the mean of both.

    Args:
        pairs: (true, measured, name) of each, at least one.
        agreement: what `sss_model.evaluation.volumetry.agreement` says of them; a level line each for bias and limits.
    """
    sizes = [(true + measured) / 2 for true, measured, _ in pairs]
    errors = [measured - true for true, measured, _ in pairs]
    levels = {name: level for name in ("bias", "low", "high") if (level := agreement[name]) is not None}
    tips = {"dots": [f"{name}: {error:+.1f} {unit}" for error, (_, _, name) in zip(errors, pairs, strict=True)]}
    with _style():
        figure, axes = _figure()
        shown = (0.0, *errors, *levels.values())
        _limits(axes, _ticks(min(0.0, *sizes), max(sizes)), _ticks(min(shown), max(shown)))
        axes.axhline(0, color=_MUTED, linewidth=1)
        for name, level in levels.items():
            axes.axhline(level, color=_ACCENT, linewidth=1, dashes=(5, 4), gid=name)
            tips[name] = [f"{name} {level:+.1f}"]
        _dots(axes, sizes, errors, colour=_ACCENT, size=8, gid="dots")
        note = f"bias {levels['bias']:+.1f} {unit}"
        return Chart(title, note, _svg(figure, f"{title}, {note}", tips))


def reliability_charts(table: np.ndarray, error: float | None) -> list[Chart]:
    """Draw a reliability diagram (Guo et al., ICML 2017), and how many voxels are in each of its bins.

    Args:
        table: (3, bins), what `sss_model.evaluation.calibration.count_reliability` gives.
        error: the expected calibration error, for the heading.

    Returns:
        Two charts with a bar for each bin that has voxels; none where no bin has.
    """
    voxels, confidence, correct = table
    filled = np.flatnonzero(voxels)
    if not len(filled):
        return []
    accuracy, share = correct[filled] / voxels[filled], voxels[filled] / voxels.sum()
    said = [
        f"confidence {mean:.0%}, accuracy {right:.0%}: {part:.1%} of the voxels"
        for mean, right, part in zip(confidence[filled] / voxels[filled], accuracy, share, strict=True)
    ]
    note = "" if error is None else f"expected calibration error {error:.3f}"
    return [
        _bars("Accuracy over confidence", note, filled, accuracy, said, bins=len(voxels), diagonal=True),
        _bars("Share of the voxels by confidence", "", filled, share, said, bins=len(voxels)),
    ]


def spread_chart(spreads: Sequence[Spread]) -> Chart:
    """Draw the Dice of every case, a row a class: dots, their mean, and a band from the lower quartile to the upper."""
    known = [dice for spread in spreads for dice, _ in spread.dice]
    height, left = _SPREAD_ROW * len(spreads) + 26, 38 + 9 * max(len(spread.name) for spread in spreads)
    tips = {f"row{row}": [f"{case}: {dice:.3f}" for dice, case in spread.dice] for row, spread in enumerate(spreads)}
    with _style():
        figure, axes = _figure(_SPREAD_WIDTH, height, left=left, right=10, top=0, bottom=26)
        _limits(axes, _ticks_up_to_one(min(known, default=0.0)), np.array([-0.5, len(spreads) - 0.5]))
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.set_yticks([])
        width = _SPREAD_WIDTH - left - 10
        beside = axes.get_yaxis_transform()
        axes.annotate("Dice", (0, 0), (-left, -18), "axes fraction", "offset pixels", fontsize=13)
        for row, spread in enumerate(spreads):
            axes.plot(-(left - 5) / width, row, "s", markersize=10, color=spread.colour, transform=beside)
            name = axes.annotate(spread.name, (0, row), (20 - left, 0), beside, "offset pixels", fontsize=15)
            name.set(color=_INK, verticalalignment="center")
            _spread_row(axes, row, spread)
        return Chart("Dice of every scan", "", _svg(figure, "Dice of every scan, by class", tips))


def _spread_row(axes: Axes, row: int, spread: Spread) -> None:
    values = [dice for dice, _ in spread.dice]
    if not values:
        return
    lower, upper = np.percentile(values, [25, 75])
    axes.barh(row, upper - lower, height=0.7, left=lower, color=_MUTED, alpha=0.22)
    _dots(axes, values, [row] * len(values), colour=spread.colour, size=10, gid=f"row{row}")
    mean = float(np.mean(values))
    axes.plot([mean, mean], [row - 0.32, row + 0.32], color=_INK, linewidth=2)


def _dots(axes: Axes, across: Sequence[float], up: Sequence[float], *, colour: str, size: float, gid: str) -> None:
    [dots] = axes.plot(across, up, "o", color=colour, alpha=0.6, markersize=size, gid=gid)
    dots.set(markeredgecolor=_CARD, markeredgewidth=1)


def _bars(
    title: str,
    note: str,
    places: np.ndarray,
    heights: np.ndarray,
    said: Sequence[str],
    *,
    bins: int,
    diagonal: bool = False,
) -> Chart:
    with _style():
        figure, axes = _figure(bottom=40)
        _limits(axes, _ticks(0.0, 1.0), _ticks(0.0, 1.0))
        drawn = axes.bar(places / bins, heights, width=1 / bins, align="edge", color=_ACCENT, alpha=0.55)
        for number, bar in enumerate(drawn):
            bar.set(gid=f"bar{number}", edgecolor=_CARD, linewidth=1)
        if diagonal:
            axes.plot([0, 1], [0, 1], color=_ACCENT, linewidth=1, dashes=(5, 4))
        axes.set_xlabel("confidence of the softmax", labelpad=6)
        tips = {f"bar{number}": [sentence] for number, sentence in enumerate(said)}
        return Chart(title, note, _svg(figure, f"{title}, {note}" if note else title, tips))


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    style: dict[Any, Any] = {
        **{"svg.fonttype": "none", "svg.hashsalt": "sss", "text.parse_math": False, "font.size": _TEXT},
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _MUTED),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
        **dict.fromkeys((f"axes.spines.{side}" for side in ("left", "right", "top", "bottom")), False),
        **{"axes.grid": True, "axes.grid.axis": "y", "grid.color": _LINE, "grid.linewidth": 1, "axes.axisbelow": True},
        **{"xtick.major.size": 0, "ytick.major.size": 0, "xtick.major.pad": 8, "ytick.major.pad": 7},
    }
    # A name may have letters that matplotlib's font lacks; the browser draws them in its own.
    with rc_context(style), warnings.catch_warnings(action="ignore"):
        yield


def _figure(
    width: int = _WIDTH, height: int = _HEIGHT, *, left: int = 44, right: int = 16, top: int = 10, bottom: int = 24
) -> tuple[Figure, Axes]:
    """A figure in pixels of the page, and its axes within margins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    inside = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    return figure, figure.add_axes(inside)


def _limits(axes: Axes, across: np.ndarray, up: np.ndarray) -> None:
    """Let both axes run from their first tick to their last."""
    axes.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    axes.set_xticks(across, [f"{value:,.10g}" for value in across])
    axes.set_yticks(up, [f"{value:,.10g}" for value in up])


def _ticks(low: float, high: float) -> np.ndarray:
    """Evenly spaced round values that hold a range."""
    from matplotlib.ticker import MaxNLocator

    high = high if high > low else low + 1
    return _trimmed(np.asarray(MaxNLocator(nbins=4).tick_values(low, high)), low, high)


def _ticks_up_to_one(low: float) -> np.ndarray:
    """The same for shares of 0 to 1, of which the last tick is 1 and none is above."""
    from matplotlib.ticker import MaxNLocator

    # Counted down from 1, since steps such as 0.08 that are counted up from 0 would pass it.
    below = max(1 - low, 0.02)
    ticks = np.asarray(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(0, below))
    return 1 - _trimmed(ticks, 0, below)[::-1]


def _trimmed(ticks: np.ndarray, low: float, high: float) -> np.ndarray:
    """Ticks without those of a locator that went a step farther than the range needs."""
    slack = 1e-9 * (high - low)
    first = int(np.flatnonzero(ticks <= low + slack)[-1])
    last = int(np.flatnonzero(ticks >= high - slack)[0])
    return ticks[first : last + 1]


def _svg(figure: Figure, label: str, tips: Mapping[str, Sequence[str]] | None = None) -> Markup:
    """The figure as an element; `tips` are what its marks say when pointed at, in the order drawn, by their gid."""
    for artist in figure.findobj():
        artist.set_clip_on(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    root = _of_a_page(ElementTree.fromstring(stream.getvalue()))
    for group in root.iter("g"):
        for mark, sentence in zip(_marks(group), (tips or {}).get(group.get("id", ""), ()), strict=False):
            ElementTree.SubElement(mark, "title").text = sentence
    _keep_names_in_use(root)
    root.attrib |= {"role": "img", "aria-label": label}
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, name in _OF_THE_PAGE.items():
        text = text.replace(colour, f"var({name})")
    return Markup(text)  # ElementTree escaped what is in it


def _of_a_page(root: ElementTree.Element) -> ElementTree.Element:
    """Leave namespaces, metadata, size and fonts away: a page has its own."""
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        if element.tag == "text":
            parts = [part.strip() for part in element.get("style", "").split(";")]
            element.set("style", "; ".join(part for part in parts if part and not part.startswith("font-family")))
    for metadata in root.findall("metadata"):
        root.remove(metadata)
    for name in ("width", "height", "version"):
        del root.attrib[name]
    return root


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _marks(group: ElementTree.Element) -> list[ElementTree.Element]:
    """What a group draws, without the shapes that it only defines."""
    defined = {shape for defs in group.iter("defs") for shape in defs.iter()}
    return [mark for mark in group.iter() if mark.tag in ("use", "path") and mark not in defined]


def _keep_names_in_use(root: ElementTree.Element) -> None:
    """Remove ids that nothing refers to, which every chart of a page would repeat; the others name equal shapes."""
    used = {element.get("href", "").removeprefix("#") for element in root.iter("use")}
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
