"""Clinical volumes: agreement of predicted with true volumes, and the ejection fraction of a heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from sss_model.evaluation.metrics import Score

_LIMITS = 1.96


@dataclass(frozen=True)
class Ejection:
    """The ejection fraction of one patient, in per cent of the end-diastolic volume; a row of ``ejection.csv``.

    Attributes:
        end_diastole, end_systole: the cases in which the labelled cavity is largest and smallest.
        predicted_percent, error_percent: None where the prediction has no cavity at end-diastole.
    """

    patient: str
    group: str
    end_diastole: str
    end_systole: str
    true_percent: float
    predicted_percent: float | None
    error_percent: float | None


def agreement(errors: Sequence[float]) -> dict[str, float | None]:
    """Bland and Altman's agreement of a measurement with the truth.

    >>> {name: round(value, 2) for name, value in agreement([1.0, -1.0, 3.0]).items()}
    {'bias': 1.0, 'mean_absolute': 1.67, 'low': -2.92, 'high': 4.92}

    Args:
        errors: measured minus true, in one unit.

    Returns:
        ``bias`` (mean error), ``mean_absolute``, and the limits of agreement ``low`` and ``high``, 1.96 standard
        deviations either side of the bias; None where there are too few errors.

    Source:
        Bland and Altman, Lancet 1986.
    """
    if not errors:
        return {"bias": None, "mean_absolute": None, "low": None, "high": None}
    bias, absolute = fmean(errors), fmean(abs(error) for error in errors)
    if len(errors) < 2:
        return {"bias": bias, "mean_absolute": absolute, "low": None, "high": None}
    reach = _LIMITS * stdev(errors)
    return {"bias": bias, "mean_absolute": absolute, "low": bias - reach, "high": bias + reach}


def volume_agreement(scores: Sequence[Score]) -> dict[str, dict[str, float | None]]:
    """Class name to the `agreement` of its volumes in ml, over the scans where it is in label or prediction."""
    errors: dict[str, list[float]] = {score.class_name: [] for score in scores}
    for score in scores:
        if score.status != "not_applicable":
            errors[score.class_name].append(score.volume_error_ml)
    return {name: agreement(of_class) for name, of_class in errors.items()}


def ejection_fractions(scores: Sequence[Score], cavity: str) -> list[Ejection]:
    """The ejection fraction of every patient with several scans in which the cavity is labelled.

    End-diastole is the scan whose labelled cavity is largest, end-systole the one where it is smallest, which is how
    both are defined; the prediction is measured in the same two scans, so that it can't choose its own.

    Args:
        scores: rows of one evaluation.
        cavity: the class that fills and empties.
    """
    patients: dict[str, list[Score]] = {}
    for score in scores:
        if score.class_name == cavity and score.truth_ml > 0:
            patients.setdefault(score.patient, []).append(score)
    return [_ejection(scans) for scans in patients.values() if len(scans) > 1]


def _ejection(scans: Sequence[Score]) -> Ejection:
    full = max(scans, key=lambda scan: scan.truth_ml)
    # From the last one on, so that two equal volumes still are two scans.
    empty = min(reversed(scans), key=lambda scan: scan.truth_ml)
    true = 100 * (full.truth_ml - empty.truth_ml) / full.truth_ml
    predicted = None
    if full.predicted_ml > 0:
        predicted = 100 * (full.predicted_ml - empty.predicted_ml) / full.predicted_ml
    error = None if predicted is None else predicted - true
    return Ejection(full.patient, full.group, full.case, empty.case, true, predicted, error)


def summarise_ejection(fractions: Sequence[Ejection], cavity: str) -> dict[str, Any]:
    """What ``summary.json`` says of ejection fractions: whose, of how many patients, and their agreement in points."""
    errors = [one.error_percent for one in fractions if one.error_percent is not None]
    return {
        "class": cavity,
        "patients": len(fractions),
        "measured": len(errors),
        "unit": "percentage points",
        **agreement(errors),
    }
