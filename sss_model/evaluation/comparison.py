"""Paired comparison of two models: the difference in Dice by class, with bootstrap confidence intervals.

Patients are resampled, not cases: the cases of one patient resemble each other, so resampling cases would give too
narrow intervals. Both models are scored on each draw, which takes the patients' own difficulty out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sss_model.errors import InputError
from sss_model.evaluation.metrics import Score

OVERALL = "mean"


@dataclass(frozen=True)
class DiceDifference:
    """Dice of one class, or of all classes' mean, averaged over cases.

    All is None where no case shows the class, the interval also where those of one patient alone do.

    Attributes:
        class_name: the class, or `OVERALL`.
        champion, challenger: mean Dice.
        difference: challenger minus champion.
        low, high: the interval of the difference.
    """

    class_name: str
    champion: float | None
    challenger: float | None
    difference: float | None
    low: float | None
    high: float | None


def compare(
    champion: Sequence[Score], challenger: Sequence[Score], *, confidence: float, resamples: int, seed: int
) -> list[DiceDifference]:
    """Compare two models case by case with a paired bootstrap over patients.

    A structure that neither model and no label shows is no evidence. Where only one of the two models invents it, the
    other was right to leave it out and counts with Dice 1. The percentile interval is too narrow for few patients, so
    it is widened as a t interval is against a normal one: see `widening`.

    Args:
        champion, challenger: rows of the same cases and classes.
        confidence: of the two-sided intervals, 0.5 to 1.
        resamples: times that as many patients as there are are drawn.
        seed: of the draws; the same one gives the same numbers.

    Returns:
        One difference a class, in the order of the rows, and last the mean over classes.

    Raises:
        InputError: the rows are not of the same cases and classes, are of fewer than two patients, or a model was
            prompted from outside.
    """
    refuse_prompted([*champion, *challenger])
    pairs = _paired(champion, challenger)
    patients = list(dict.fromkeys(row.patient for row, _ in pairs))
    classes = list(dict.fromkeys(row.class_name for row, _ in pairs))
    if len(patients) < 2:
        raise InputError(f"comparison: {len(patients)} patients; expected at least 2, to draw from")
    # Sums and not means, so that a patient with two cases weighs twice, as it does in the mean over cases.
    sums = np.zeros((len(patients), 2, len(classes)))
    counts = np.zeros((len(patients), 1, len(classes)))
    for old, new in pairs:
        values = _dice_of(old, new)
        if values is not None:
            place = patients.index(old.patient), slice(None), classes.index(old.class_name)
            sums[place] += values
            counts[place] += 1
    drawn = _draws(len(patients), resamples, seed)
    means = _with_overall(_ratio(sums.sum(0), counts.sum(0)))
    spread = _with_overall(_ratio(np.tensordot(drawn, sums, 1), np.tensordot(drawn, counts, 1)))
    estimate = means[1] - means[0]
    plain = _quantiles(spread[:, 1] - spread[:, 0], (1 - confidence) / 2)
    showing = [*(counts[:, 0] > 0).sum(0), len(patients)]
    bounds = estimate + np.array([widening(confidence, int(number)) for number in showing]) * (plain - estimate)
    return [_difference(name, *means[:, column], *bounds[:, column]) for column, name in enumerate([*classes, OVERALL])]


def refuse_prompted(scores: Sequence[Score]) -> None:
    """Raise `InputError` where a row's mask came of a human's or a label's prompt: with help no model is judged."""
    for score in scores:
        if score.prompt_source not in ("none", "generated"):
            raise InputError(
                f"case {score.case}: scored with prompts ({score.prompt_source}); expected none, or the model's own"
            )


def widening(confidence: float, patients: int) -> float:
    """By how much the interval of few patients is stretched about its estimate; near 1 for many, nan below two.

    A draw's spread is that of the patients at hand, with n and not n - 1 below the sum of squares, and its tails are
    the normal distribution's instead of Student's: the two corrections of Hesterberg 2015, "What Teachers Should Know
    About the Bootstrap", applied to the width. (His own expanded percentiles end at the extreme draws.)
    """
    if patients < 2:
        return float("nan")
    share = (1 + confidence) / 2
    return float(np.sqrt(patients / (patients - 1)) * stats.t.ppf(share, patients - 1) / stats.norm.ppf(share))


def _paired(champion: Sequence[Score], challenger: Sequence[Score]) -> list[tuple[Score, Score]]:
    new = {(row.case, row.class_name): row for row in challenger}
    old = {(row.case, row.class_name): row for row in champion}
    alone = sorted(new.keys() ^ old.keys())
    if alone:
        raise InputError(
            f"comparison: only one model was scored on class {alone[0][1]} of {alone[0][0]}; expected the same cases"
        )
    return [(row, new[key]) for key, row in old.items()]


def _dice_of(old: Score, new: Score) -> tuple[float, float] | None:
    if old.dice is None and new.dice is None:
        return None
    return (1.0 if old.dice is None else old.dice, 1.0 if new.dice is None else new.dice)


def _draws(patients: int, resamples: int, seed: int) -> np.ndarray:
    """How often each patient is in each draw, (resamples, patients)."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(patients, np.full(patients, 1 / patients), size=resamples).astype(float)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means (…, 2, classes); nan where a draw holds no case of a class."""
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def _with_overall(means: np.ndarray) -> np.ndarray:
    """The mean over the classes that are there as a last column."""
    there = ~np.isnan(means)
    total = np.where(there, means, 0).sum(-1, keepdims=True)
    return np.concatenate([means, _ratio(total, there.sum(-1, keepdims=True))], axis=-1)


def _quantiles(differences: np.ndarray, tail: float) -> np.ndarray:
    """(2, columns) of (draws, columns), nan for a column without any number."""
    bounds = np.full((2, differences.shape[1]), np.nan)
    for column, values in enumerate(differences.T):
        there = values[~np.isnan(values)]
        if there.size:
            bounds[:, column] = np.quantile(there, [tail, 1 - tail])
    return bounds


def _difference(name: str, champion: float, challenger: float, low: float, high: float) -> DiceDifference:
    numbers = (champion, challenger, challenger - champion, low, high)
    return DiceDifference(name, *(None if np.isnan(number) else float(number) for number in numbers))
