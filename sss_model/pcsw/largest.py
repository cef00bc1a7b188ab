"""Which of many components prompt."""

from __future__ import annotations

import numpy as np

from sss_model.pcsw.components import Components


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
