"""Which of many scans to label next: those that the model does worst on, and that differ from one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Chosen(NamedTuple):
    """The number of a scan, and its greatest similarity to what is labelled or was chosen before: which, and how much.

    `nearest` counts the labelled scans first, then all others; None where there is nothing to compare with.
    """

    scan: int
    nearest: int | None
    similarity: float


def choose(
    doubt: np.ndarray,
    pictures: np.ndarray,
    patients: Sequence[str],
    labelled: np.ndarray,
    *,
    count: int,
    look_alike: float,
) -> list[Chosen]:
    """Choose scans one after the other, each time the one with the highest doubt times difference.

    Difference is 1 minus the correlation with the most alike scan among the labelled and the chosen ones. Of a patient
    one scan is chosen, and none that is as like another as `look_alike`.

    Args:
        doubt: (n,) how far from perfect the mask probably is, 0 to 1.
        pictures, labelled: (n, k) and (m, k), rows of length 1, whose products are correlations; see
            `sss_model.screening.thumbnail`.
        patients: (n,) whose scan it is.

    Returns:
        At most `count`; fewer where patients or differing scans run out.
    """
    known, names = labelled, list(range(len(labelled)))
    free = np.ones(len(doubt), dtype=bool)
    chosen: list[Chosen] = []
    while len(chosen) < count:
        alike, nearest = _most_alike(pictures, known)
        free &= alike < look_alike
        if not free.any():
            break
        best = int(np.argmax(np.where(free, doubt * (1 - alike), -np.inf)))
        chosen.append(Chosen(best, names[nearest[best]] if names else None, float(alike[best])))
        free &= np.array([patient != patients[best] for patient in patients])
        known = np.concatenate([known, pictures[best : best + 1]])
        names.append(len(labelled) + best)
    return chosen


def _most_alike(pictures: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the highest correlation of each scan with the known ones, at least 0, and the known one's number."""
    if not len(known):
        return np.zeros(len(pictures)), np.zeros(len(pictures), dtype=int)
    correlations = pictures @ known.T
    return np.maximum(correlations.max(1), 0), correlations.argmax(1)
