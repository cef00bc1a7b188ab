"""Predicted quality: the Dice to expect of a mask without ground truth, and whether a person should review it.

Everything is measured on the one prediction that makes the mask; no slice passes through the network again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

MIN_CASES = 3
"""Validation scans below which no line is fitted."""
EXPECTED_DICE = "expected Dice"
"""Beginning of a reason for review that follows from the expected Dice."""

_OUTSIDE = 0.1
"""Share of the residuals left out at either end of the range."""
_REVIEW_SHARE = 0.1
"""Share of the validation scans that would have been worth a review."""
# Strength of the prior that the slope is 1, as the features are Dice already: as many scans with such a spread.
_PRIOR_CASES, _PRIOR_SPREAD = 4, 0.02


class QualityFeatures(NamedTuple):
    """Three numbers from 0 to 1 per foreground class, each (classes,) float64; NaN where there is nothing to measure.

    Attributes:
        confidence: the Dice that the network itself expects, see `expected_dice`; NaN for a class not in the mask.
        view_agreement: mean Dice between the mask and that of each test-time view; NaN also with a single view.
        slice_agreement: Dice between neighbouring slices of the mask; NaN also with a single slice.
    """

    confidence: np.ndarray
    view_agreement: np.ndarray
    slice_agreement: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(classes,) bool: whether the mask has the class at all."""
        return ~np.isnan(self.confidence)


def measure_quality_features(probabilities: Tensor, votes: Sequence[Tensor]) -> QualityFeatures:
    """Measure the prediction of a volume.

    Args:
        probabilities: (D, classes, S, S), background first, averaged over the views.
        votes: per view, the most probable class (D, S, S) of each pixel.
    """
    mask = probabilities.argmax(1)
    foreground = range(1, probabilities.shape[1])
    return QualityFeatures(
        confidence=np.array([expected_dice(mask == index, probabilities[:, index]) for index in foreground]),
        view_agreement=np.array([_agreement(mask == index, [vote == index for vote in votes]) for index in foreground]),
        slice_agreement=np.array([_continuity(mask == index) for index in foreground]),
    )


def expected_dice(mask: Tensor, probability: Tensor) -> float:
    """Soft Dice between the boolean mask of a class and its probability, of one shape: the Dice to expect if the
    probabilities are calibrated. NaN for an empty mask.

    >>> expected_dice(torch.tensor([True, True, False]), torch.tensor([1.0, 0.5, 0.5]))
    0.75
    """
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


class QualityFit(BaseModel):
    """A line from the score of a prediction to its mean Dice, and the range of its residuals.

    Attributes:
        slope, intercept: of the line.
        low, high: what is added to the expected Dice for its range: the 10th and the 90th percentile of the residuals,
            each patient's by a line through the others; with fewer than ten scans the extremes.
        cases, patients: how many it rests on.
        spearman: rank correlation between the Dice of each patient's scans and what a line through the others expects;
            None where it is not defined.
        review_below: lowest tenth of the expected Dice of the validation scans; masks below it are worth a review.
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
    review_below: float
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


def quality_score(features: QualityFeatures, names: Sequence[str], always: Sequence[str]) -> float:
    """Score of a scan, 0 to 1: the mean of the confidence and the view agreement of each class, then over classes.

    A class that is missing in the mask counts as 0 if it is among `always`, else it does not count.

    Args:
        names: the foreground classes, in the order of `features`.

    Returns:
        NaN where no class counts.
    """
    # Agreement of neighbouring slices follows the structure more than the quality: docs/explanation/evaluation.md.
    known = np.stack([features.confidence, features.view_agreement])
    per_class = [
        float(np.nanmean(known[:, index])) if there else 0.0
        for index, (name, there) in enumerate(zip(names, features.found, strict=True))
        if there or name in always
    ]
    return float(np.mean(per_class)) if per_class else float("nan")


def fit_quality(
    scores: np.ndarray, dice: np.ndarray, patients: Sequence[str], always: Sequence[str]
) -> QualityFit | None:
    """Fit Dice to scores by a line whose slope is drawn towards 1.

    >>> fit = fit_quality(np.array([0.8, 0.9, 1.0]), np.array([0.7, 0.8, 0.9]), ["a", "b", "c"], [])
    >>> fit.slope, round(fit.expect(0.9).dice, 3)
    (1.0, 0.8)

    Args:
        scores, dice: (n,) per validation scan; scans where either is NaN are left out.
        patients: (n,) the patient of each scan.
        always: the classes that every one of them has.

    Returns:
        None where fewer than `MIN_CASES` scans, or scans of fewer than two patients, are left.
    """
    known = ~(np.isnan(scores) | np.isnan(dice))
    scores, dice, owners = scores[known], dice[known], np.array(patients)[known]
    if len(dice) < MIN_CASES or len(set(owners)) < 2:
        return None
    slope, intercept = _line(scores, dice)
    expected = left_out(scores, dice, owners)
    residuals = dice - expected
    outside = _OUTSIDE if len(dice) >= 1 / _OUTSIDE else 0.0
    low, high = np.quantile(residuals, [outside, 1 - outside])
    return QualityFit(
        slope=round(slope, 6),
        intercept=round(intercept, 6),
        low=round(min(float(low), 0.0), 6),
        high=round(max(float(high), 0.0), 6),
        cases=len(dice),
        patients=len(set(owners)),
        spearman=spearman(expected, dice),
        review_below=round(float(np.clip(np.quantile(intercept + slope * scores, _REVIEW_SHARE), 0, 1)), 6),
        always=list(always),
    )


def left_out(scores: np.ndarray, dice: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """(n,) the Dice expected of each scan by a line through the other patients' scans."""
    expected = np.empty(len(dice))
    for patient in set(patients):
        own = patients == patient
        slope, intercept = _line(scores[~own], dice[~own])
        expected[own] = intercept + slope * scores[own]
    return expected


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
    # Where more confident masks were worse, confidence says nothing.
    slope = max(slope, 0.0)
    return slope, float(dice.mean() - slope * scores.mean())


class Review(NamedTuple):
    """Whether a person should review a mask.

    Attributes:
        estimate: the Dice to expect; None where the checkpoint was not calibrated or the mask is empty.
        reasons: why to review it; empty if there is no need.
    """

    estimate: Estimate | None
    reasons: tuple[str, ...]


def review(
    features: QualityFeatures,
    warnings: Sequence[str],
    *,
    labels: Mapping[str, int],
    fit: QualityFit | None,
    review_below: float | None = None,
) -> Review:
    """Estimate the quality of a mask and list the reasons to review it.

    Args:
        warnings: how its scan differs from those of the training; each is a reason.
        labels: class name to integer, background 0.
        fit: of the checkpoint.
        review_below: expected Dice below which to review; None is the lowest tenth of the validation scans.
    """
    names, always = foreground(labels), fit.always if fit else []
    reasons = list(warnings)
    missing = [name for name, there in zip(names, features.found, strict=True) if name in always and not there]
    if missing:
        reasons.append(f"no {' and no '.join(missing)} found, which every validation scan has")
    score = quality_score(features, names, always)
    if fit is None or math.isnan(score):
        if not features.found.any() and not missing:
            reasons.append("nothing found")
        return Review(None, tuple(reasons))
    estimate = fit.expect(score)
    low = low_expected_dice(estimate.dice, fit, review_below)
    return Review(estimate, (*reasons, low) if low else tuple(reasons))


def low_expected_dice(dice: float, fit: QualityFit, review_below: float | None = None) -> str | None:
    """The reason to review a mask with this expected Dice, if it is one; it begins with `EXPECTED_DICE`."""
    limit = fit.review_below if review_below is None else review_below
    if dice >= limit:
        return None
    whose = "the validation scans' lowest tenth" if review_below is None else "the limit"
    return f"{EXPECTED_DICE} {dice:.2f}, below {whose} {limit:.2f}"


def foreground(labels: Mapping[str, int]) -> list[str]:
    """Names of the foreground classes, by their integers."""
    return sorted((name for name, index in labels.items() if index), key=labels.__getitem__)
