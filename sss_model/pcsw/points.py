"""A point well inside each labelled region."""

from __future__ import annotations

from itertools import product

import numpy as np

from sss_model.pcsw.runs import Runs


def inner_points(labels: np.ndarray, runs: Runs, count: int) -> np.ndarray:
    """(count, 2) float32 x, y of a point well inside each label 1 to `count` of a (D, H, W) map.

    Asked are the middles of a region's runs along rows. Taken is the deepest, as `_depths` measures it; of those as
    deep, the middle of the longest run. Coordinates are those of pixel edges: the first pixel's centre is (0.5, 0.5).
    Of rows that still tie the upper one is taken, the one choice here that a mirrored map doesn't mirror.

    Args:
        runs: the map's runs; each label has one.
    """
    lengths = runs.lengths
    score = _depths(labels, runs) * (labels.shape[2] + 1) + lengths
    best = np.zeros(count + 1, np.int64)
    np.maximum.at(best, runs.values, score)
    winners = np.flatnonzero(score == best[runs.values])[::-1]  # backwards, so that the first is what stays
    points = np.zeros((count + 1, 2), np.float32)
    points[runs.values[winners], 0] = (runs.columns + lengths / 2)[winners]
    points[runs.values[winners], 1] = runs.rows[winners] + 0.5
    return points[1:]


def _depths(labels: np.ndarray, runs: Runs) -> np.ndarray:
    """(R,) the largest power of two such that a run's middle, moved so many pixels to any of four sides, and each
    smaller power of two, stays in its region; 0 where one pixel leaves it. No less than half of what is possible.

    A run of even length has two middle pixels; both are asked.
    """
    flat, (_, height, width) = labels.reshape(-1), runs.shape
    lengths, rows = runs.lengths, runs.rows
    left, right = runs.starts + (lengths - 1) // 2, runs.starts + lengths // 2
    room = np.minimum((lengths - 1) // 2, np.minimum(rows, height - 1 - rows))
    depths = np.zeros(len(lengths), np.int64)
    inside, step = np.flatnonzero(room >= 1), 1
    while len(inside):
        for middle, away in product((left, right), (-step * width, step * width)):
            inside = inside[flat[middle[inside] + away] == runs.values[inside]]
        depths[inside] = step
        step *= 2
        inside = inside[room[inside] >= step]
    return depths
