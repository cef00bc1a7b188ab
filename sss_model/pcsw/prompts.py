"""Prompts of the kept components and the filled gaps, and where the class map may supervise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from sss_model.pcsw.components import Components
from sss_model.pcsw.gaps import Gap


def among_largest(found: Components, chosen: np.ndarray, limit: int) -> np.ndarray:
    """(n,) whether a component is chosen, and fewer than `limit` chosen ones of its slice and class are larger, or as
    large and more confident.

    Exact twins stand or fall together, even if that makes more: any choice between them would be the raster's.
    """
    order = np.lexsort((found.confidences, found.areas, found.classes, found.slices))[::-1]
    order = order[chosen[order]]
    starts_group = _differs(order, found.slices, found.classes)
    starts_twins = starts_group | _differs(order, found.areas, found.confidences)
    ahead = _latest(starts_twins) - _latest(starts_group)
    among = np.zeros(len(found), bool)
    among[order] = ahead < limit
    return among


def _differs(order: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """Whether each one in this order differs from the one before in any key; the first does."""
    differs = np.ones(len(order), bool)
    differs[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    return differs


def _latest(starts: np.ndarray) -> np.ndarray:
    """The place of the latest start up to each place."""
    return np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))


@dataclass(frozen=True, eq=False)
class Prompts:
    """P prompts, by slice and then class, and what may supervise.

    Boxes and points are in one frame, that of pixel edges: pixel i reaches from i to i + 1, so its centre is i + 0.5
    and a mirrored map's x is W - x. SAM-2's prompt encoder adds the half itself: subtract 0.5 for it.

    Attributes:
        slices: (P,) int64.
        classes: (P,) int64, from 1.
        boxes: (P, 4) float32 x0, y0, x1, y1 (x along columns): tight round the component and `margin_mm` wider,
            inside the map. A gap's box is interpolated between its neighbours'.
        points: (P, 2) float32 x, y, well inside the component (`inner_points`).
        components: (D, H, W) int32, the prompt's index plus one where its component or its gap's mask lies, else 0.
        keep: (D, H, W) bool, where the class map may supervise: not where a component was rejected, nor where a gap
            was filled; background may.
        filled: (P,) bool, whether a prompt fills a gap.
        acceptance: (foreground,) float64, share of each class's predicted pixels that lie in kept components; nan
            where none was predicted.
    """

    slices: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    components: np.ndarray
    keep: np.ndarray
    filled: np.ndarray
    acceptance: np.ndarray


def write_prompts(
    found: Components,
    kept: np.ndarray,
    gaps: list[Gap],
    *,
    prompting: np.ndarray,
    acceptance: np.ndarray,
    margin: tuple[float, float],
) -> Prompts:
    """Lay components and gaps out as prompts.

    Where a gap's mask meets a kept component of another class, the gap's class is prompted: what fills a gap is
    usually a neighbour that has spilled into it. Of two gaps the larger one is. A component left without a pixel by
    that prompts no more.

    Args:
        found: all components, and `kept`, (n,) boolean, which of them are.
        gaps: the smallest first.
        prompting: numbers of the kept components that prompt.
        acceptance: passed on.
        margin: by which boxes of components and gaps are widened, in columns and rows.
    """
    slices = np.concatenate([found.slices[prompting], [gap.slice for gap in gaps]]).astype(np.int64)
    classes = np.concatenate([found.classes[prompting], [gap.kind for gap in gaps]]).astype(np.int64)
    boxes = np.concatenate([found.boxes[prompting], *(gap.box[None] for gap in gaps)])
    order = np.lexsort((classes, slices))
    numbers = np.empty(len(order), np.int32)
    numbers[order] = np.arange(1, len(order) + 1)

    components, keep = _paint(found, kept, gaps, prompting, numbers)
    components, runs, alive = _without_empty(components, len(order))
    order = order[alive]
    return Prompts(
        slices=slices[order],
        classes=classes[order],
        boxes=_widened(boxes[order], margin, components.shape),
        points=inner_points(components, runs, len(order)),
        components=components,
        keep=keep,
        filled=order >= len(prompting),
        acceptance=acceptance,
    )


def _without_empty(components: np.ndarray, count: int) -> tuple[np.ndarray, Runs, np.ndarray]:
    """The map and its runs, numbered anew from 1 without prompts that have no pixel; (count,) which have some."""
    runs = find_runs(components)
    alive = np.zeros(count + 1, bool)
    alive[runs.values] = True
    if alive[1:].all():
        return components, runs, alive[1:]
    numbers = np.cumsum(alive, dtype=np.int32)
    return np.take(numbers, components), runs._replace(values=numbers[runs.values]), alive[1:]


def _paint(
    found: Components, kept: np.ndarray, gaps: list[Gap], prompting: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`Prompts.components` and `Prompts.keep`, given the prompts' numbers, first the components', then the gaps'."""
    number = np.zeros(len(found), np.int32)
    number[prompting] = numbers[: len(prompting)]
    components, keep = found.paint(number, 0), found.paint(kept, True)
    for gap, own in zip(gaps, numbers[len(prompting) :], strict=True):
        components[gap.slice][gap.mask] = own
        keep[gap.slice][gap.mask] = False
    return components, keep


def _widened(boxes: np.ndarray, margin: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    """(P, 4) float32, wider on every side but inside the map."""
    wider = boxes + np.array([-margin[0], -margin[1], margin[0], margin[1]])
    return np.clip(wider, 0, [shape[2], shape[1]] * 2).astype(np.float32)


def inner_points(labels: np.ndarray, runs: Runs, count: int) -> np.ndarray:
    """(count, 2) float32 x, y of a point well inside each label 1 to `count` of a (D, H, W) map.

    Candidates are the middles of a region's runs along rows. The deepest by `_depths` is taken; of those as deep, the
    middle of the longest run. Coordinates are those of pixel edges: the first pixel's centre is (0.5, 0.5). Of rows
    that still tie the upper one is taken, the one choice here that a mirrored map doesn't mirror.

    >>> labels = np.array([[[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]])
    >>> inner_points(labels, find_runs(labels), count=1)
    array([[2.5, 1.5]], dtype=float32)
    """
    score = _depths(labels, runs) * (labels.shape[2] + 1) + runs.lengths
    best = np.zeros(count + 1, np.int64)
    np.maximum.at(best, runs.values, score)
    winners = np.flatnonzero(score == best[runs.values])[::-1]  # backwards: the first is the one that stays
    rows, columns = runs.starts // labels.shape[2] % labels.shape[1], runs.starts % labels.shape[2]
    points = np.zeros((count + 1, 2), np.float32)
    points[runs.values[winners], 0] = (columns + runs.lengths / 2)[winners]
    points[runs.values[winners], 1] = rows[winners] + 0.5
    return points[1:]


class Runs(NamedTuple):
    """(R,) stretches of one label along a row: position in the flattened map, length, label from 1."""

    starts: np.ndarray
    lengths: np.ndarray
    values: np.ndarray


def find_runs(labels: np.ndarray) -> Runs:
    """The runs of a (D, H, W) map whose zeros are background."""
    flat = labels.reshape(-1)
    changes = np.ones(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=changes[1:])
    changes.reshape(labels.shape)[..., 0] = True
    starts = np.flatnonzero(changes)
    lengths, values = np.diff(starts, append=flat.size), flat[starts].astype(np.int64)
    return Runs(starts[values > 0], lengths[values > 0], values[values > 0])


def _depths(labels: np.ndarray, runs: Runs) -> np.ndarray:
    """(R,) the largest power of two such that a run's middle, moved so many pixels to any of four sides, and each
    smaller power of two, stays in its region; 0 where one pixel leaves it. No less than half of what is possible.

    A run of even length has two middle pixels; both are tested.
    """
    flat, (_, height, width) = labels.reshape(-1), labels.shape
    rows = runs.starts // width % height
    left, right = runs.starts + (runs.lengths - 1) // 2, runs.starts + runs.lengths // 2
    room = np.minimum((runs.lengths - 1) // 2, np.minimum(rows, height - 1 - rows))
    depths = np.zeros(len(runs.starts), np.int64)
    inside, step = np.flatnonzero(room >= 1), 1
    while len(inside):
        for middle, away in product((left, right), (-step * width, step * width)):
            inside = inside[flat[middle[inside] + away] == runs.values[inside]]
        depths[inside] = step
        step *= 2
        inside = inside[room[inside] >= step]
    return depths
