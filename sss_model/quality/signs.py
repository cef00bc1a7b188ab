"""What a prediction says of its own quality: how sure it is, and whether its views and its slices agree.

All of it is left over from the one prediction that makes the mask; no slice passes through the network again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Signs(NamedTuple):
    """Three numbers from 0 to 1 per foreground class, each (classes,) float64; NaN where there is nothing to measure.

    Attributes:
        sure: the Dice that the network itself expects, see `expected_dice`; NaN for a class that is not in the mask.
        views: mean Dice between the mask and that of each test-time view; NaN also where there is one view alone.
        slices: Dice between neighbouring slices of the mask; NaN also in a single slice.
    """

    sure: np.ndarray
    views: np.ndarray
    slices: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(classes,) bool: whether the mask has the class at all."""
        return ~np.isnan(self.sure)


def measure_signs(probabilities: Tensor, votes: Sequence[Tensor]) -> Signs:
    """Measure a volume's prediction.

    Args:
        probabilities: (D, classes, S, S), background first, averaged over the views.
        votes: per view, the most probable class (D, S, S) of each pixel.
    """
    mask = probabilities.argmax(1)
    foreground = range(1, probabilities.shape[1])
    return Signs(
        sure=np.array([expected_dice(mask == index, probabilities[:, index]) for index in foreground]),
        views=np.array([_agreement(mask == index, [vote == index for vote in votes]) for index in foreground]),
        slices=np.array([_continuity(mask == index) for index in foreground]),
    )


def expected_dice(mask: Tensor, probability: Tensor) -> float:
    """Soft Dice between a class's mask, boolean, and its probability, of one shape: what Dice would be if each pixel
    were of the class as often as the probability says. NaN for an empty mask."""
    size = float(mask.sum())
    return 2 * float(probability[mask].sum()) / (size + float(probability.sum())) if size else float("nan")


def _agreement(mask: Tensor, votes: Sequence[Tensor]) -> float:
    if len(votes) < 2 or not mask.any():
        return float("nan")
    return float(np.mean([_dice(mask, vote) for vote in votes]))


def _continuity(mask: Tensor) -> float:
    return _dice(mask[1:], mask[:-1]) if len(mask) > 1 and mask.any() else float("nan")


def _dice(one: Tensor, other: Tensor) -> float:
    sizes = int(torch.count_nonzero(one)) + int(torch.count_nonzero(other))
    return 2 * int(torch.count_nonzero(one & other)) / sizes if sizes else float("nan")
