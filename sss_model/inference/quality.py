"""Predicted quality: the Dice to expect of a mask, without ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

# What a prediction says of its own quality: how sure it is, and whether its views and its slices agree.
#
# All of it is left over from the one prediction that makes the mask; no slice passes through the network again.


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


# From the signs of a prediction to the Dice to expect: a line through the validation scans.


MIN_CASES = 3
"""Validation scans below which nothing is promised."""
_OUTSIDE = 0.1
"""Share of the residuals left out at either end of the range."""
_LOOK_SHARE = 0.1
"""Share of the validation scans that would have been worth a look."""
# The line's slope is drawn towards 1, the signs being Dice already, by as much as so many scans of such a spread would.
_PRIOR_CASES, _PRIOR_SPREAD = 4, 0.02


class QualityFit(BaseModel):
    """A line from a prediction's score to its mean Dice, and how far it was off.

    Attributes:
        slope, intercept: of the line.
        low, high: what is added to the expected Dice for its range: the 10th and the 90th percentile of the residuals,
            each patient's by a line through the others; with fewer than ten scans the extremes.
        cases, patients: how many it rests on.
        spearman: rank correlation between the Dice of each patient's scans and what a line through the others expects;
            None where it is not defined.
        look_below: an expected Dice below this, the lowest tenth on the validation scans, is worth a look.
        always: the classes that every validation scan has.
    """

    model_config = ConfigDict(frozen=True)
    slope: float
    intercept: float
    low: float
    high: float
    cases: int
    patients: int
    spearman: float | None
    look_below: float
    always: list[str]

    def expect(self, score: float) -> Estimate:
        """The Dice to expect of a prediction with this score."""
        dice = self.intercept + self.slope * score
        return Estimate(*(float(np.clip(value, 0, 1)) for value in (dice, dice + self.low, dice + self.high)))


class Estimate(NamedTuple):
    """An expected mean Dice and its range, 0 to 1."""

    dice: float
    low: float
    high: float


def score_of(signs: Signs, names: Sequence[str], always: Sequence[str]) -> float:
    """One number for a scan, 0 to 1: the mean of what is known of each class, then of the classes.

    A class that is always there and not in the mask counts as 0, any other one that is not in the mask does not count.

    Args:
        names: the foreground classes, in the order of `signs`.

    Returns:
        NaN where no class counts.
    """
    # Agreement of neighbouring slices follows the structure more than the quality: docs/explanation/evaluation.md.
    known = np.stack([signs.sure, signs.views])
    per_class = [
        float(np.nanmean(known[:, index])) if there else 0.0
        for index, (name, there) in enumerate(zip(names, signs.found, strict=True))
        if there or name in always
    ]
    return float(np.mean(per_class)) if per_class else float("nan")


def fit_quality(
    scores: np.ndarray, dice: np.ndarray, patients: Sequence[str], always: Sequence[str]
) -> QualityFit | None:
    """Fit the line.

    Args:
        scores, dice: (n,) one number a validation scan; scans where either is NaN are left out.
        patients: whose scan it is.
        always: the classes that every one of them has.

    Returns:
        None where fewer than `MIN_CASES` scans, or scans of fewer than two patients, are left.
    """
    known = ~(np.isnan(scores) | np.isnan(dice))
    scores, dice, owners = scores[known], dice[known], np.array(patients)[known]
    if len(dice) < MIN_CASES or len(set(owners)) < 2:
        return None
    slope, intercept = _line(scores, dice)
    foreseen = left_out(scores, dice, owners)
    residuals = dice - foreseen
    outside = _OUTSIDE if len(dice) >= 1 / _OUTSIDE else 0.0
    low, high = np.quantile(residuals, [outside, 1 - outside])
    return QualityFit(
        slope=round(slope, 6),
        intercept=round(intercept, 6),
        low=round(min(float(low), 0.0), 6),
        high=round(max(float(high), 0.0), 6),
        cases=len(dice),
        patients=len(set(owners)),
        spearman=spearman(foreseen, dice),
        look_below=round(float(np.clip(np.quantile(intercept + slope * scores, _LOOK_SHARE), 0, 1)), 6),
        always=list(always),
    )


def left_out(scores: np.ndarray, dice: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """(n,) the Dice expected of each scan by a line through the other patients' scans."""
    foreseen = np.empty(len(dice))
    for patient in set(patients):
        own = patients == patient
        slope, intercept = _line(scores[~own], dice[~own])
        foreseen[own] = intercept + slope * scores[own]
    return foreseen


def spearman(one: np.ndarray, other: np.ndarray) -> float | None:
    """Rank correlation, ties sharing their mean rank; None where either is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    ranks = pd.DataFrame({"one": one, "other": other}).rank()
    return round(float(ranks.corr().loc["one", "other"]), 4)


def _line(scores: np.ndarray, dice: np.ndarray) -> tuple[float, float]:
    centred = scores - scores.mean()
    prior = _PRIOR_CASES * _PRIOR_SPREAD**2
    slope = (float(centred @ (dice - dice.mean())) + prior) / (float(centred @ centred) + prior)
    # Where surer masks were worse, sureness says nothing.
    slope = max(slope, 0.0)
    return slope, float(dice.mean() - slope * scores.mean())


def foreground(labels: Mapping[str, int]) -> list[str]:
    """Names of the foreground classes, by their integers."""
    return sorted((name for name, index in labels.items() if index), key=labels.__getitem__)
