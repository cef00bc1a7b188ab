"""Masks, and surface distances by brute force straight from their definition."""

from __future__ import annotations

import numpy as np


def blob(seed: int, shape=(9, 8, 6)) -> np.ndarray:
    """A few overlapping boxes; some touch the border."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(3):
        start = [rng.integers(0, length - 2) for length in shape]
        mask[tuple(slice(first, first + rng.integers(2, 5)) for first in start)] = True
    return mask


def directed_distances(start: np.ndarray, end: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> np.ndarray:
    """From each surface voxel of `start` the distance to the nearest one of `end`."""
    here, there = (np.array(_surface(mask)) * spacing for mask in (start, end))
    return np.array([min(np.linalg.norm(there - point, axis=1)) for point in here])


def _surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    inside = {tuple(int(index) for index in voxel) for voxel in np.argwhere(mask)}
    steps = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    return [v for v in inside if any(tuple(np.add(v, step).tolist()) not in inside for step in steps)]
