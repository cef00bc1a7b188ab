"""Bootstrap confidence intervals of means, over patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sss_model.evaluation.metrics import Score

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0

Interval = dict[str, float]


def confidence_intervals(scores: Sequence[Score], measures: Sequence[str]) -> dict[str, Any]:
    """Confidence intervals of every mean of an evaluation, by the percentile bootstrap.

    Patients are drawn with replacement, each with all scans and classes, as scans of one patient are correlated; the
    mean over volumes, then classes, is computed for every draw; the interval is the middle `LEVEL` of these means.
    Seeded: equal scores give equal intervals.

    Args:
        scores: rows of one evaluation.
        measures: attributes of `Score` that are numbers or None.

    Returns:
        Measure to ``{"low", "high"}``, the same under ``per_class``, and level, resamples, seed and what was drawn.
        None stands where fewer than two patients have the structure.
    """
    patients = list(dict.fromkeys(score.patient for score in scores))
    classes = list(dict.fromkeys(score.class_name for score in scores))
    tables = {name: _sums_and_counts(scores, name, patients, classes) for name in measures}
    return {
        "level": LEVEL,
        "resamples": RESAMPLES,
        "seed": SEED,
        "over": "patients",
        **{name: _interval(tables[name]) for name in measures},
        "per_class": {
            structure: {name: _interval(tables[name][:, :, [column]]) for name in measures}
            for column, structure in enumerate(classes)
        },
    }


def _sums_and_counts(
    scores: Sequence[Score], measure: str, patients: Sequence[str], classes: Sequence[str]
) -> np.ndarray:
    """(2, patients, classes) float64: the sum of a measure over a patient's scans, and how many it applies to."""
    table = np.zeros((2, len(patients), len(classes)))
    rows = {patient: index for index, patient in enumerate(patients)}
    columns = {name: index for index, name in enumerate(classes)}
    for score in scores:
        value = getattr(score, measure)
        if value is not None:
            table[:, rows[score.patient], columns[score.class_name]] += (value, 1)
    return table


def _interval(table: np.ndarray) -> Interval | None:
    """The interval of one mean from sums and counts (2, patients, classes).

    >>> _interval(np.array([[[0.8], [0.9]], [[1.0], [1.0]]]))
    {'low': 0.8, 'high': 0.9}
    """
    if np.count_nonzero(table[1].any(axis=1)) < 2:
        return None
    patients = table.shape[1]
    # Every interval sees the same draws of patients.
    draws = np.random.default_rng(SEED).integers(patients, size=(RESAMPLES, patients))
    # A draw without any patient who has the structure has no mean.
    low, high = np.nanpercentile(_means(table, draws), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return {"low": float(low), "high": float(high)}


def _means(table: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The mean over volumes, then classes, of each draw (draws, patients); NaN where nothing applies."""
    sums, counts = table[:, draws].sum(axis=2)
    of_class = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    classes = np.count_nonzero(counts, axis=1)
    return np.divide(of_class.sum(axis=1), classes, out=np.full(len(draws), np.nan), where=classes > 0)
