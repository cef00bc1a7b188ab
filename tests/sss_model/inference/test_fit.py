"""From signs to the Dice to expect."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sss_model.inference.quality import Signs, fit_quality, left_out, score_of, spearman


def cohort(patients: int, *, noise: float = 0.02, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Two scans a patient, whose Dice is twice as far from 1 as their score."""
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0.75, 0.98, 2 * patients)
    dice = 1 - 2 * (1 - scores) + generator.normal(0, noise, 2 * patients)
    return scores, dice, [f"p{number // 2}" for number in range(2 * patients)]


def test_the_line_is_found_and_its_range_holds_new_scans() -> None:
    fit = fit_quality(*cohort(20), ["organ"])
    assert fit is not None
    assert fit.slope == pytest.approx(2, abs=0.15)
    assert (fit.cases, fit.patients, fit.always) == (40, 20, ["organ"])
    scores, dice, _ = cohort(200, seed=1)
    inside = [(one := fit.expect(score)).low <= true <= one.high for score, true in zip(scores, dice, strict=True)]
    assert 0.7 < np.mean(inside) < 0.95


def test_a_patients_own_scans_do_not_help_to_foresee_them() -> None:
    scores, dice, patients = cohort(5, noise=0)
    dice[:2] = 0.2
    foreseen = left_out(scores, dice, np.array(patients))
    assert np.abs(foreseen[:2] - (1 - 2 * (1 - scores[:2]))).max() < 0.05


def test_few_scans_leave_the_slope_near_one() -> None:
    scores, dice = np.array([0.90, 0.905, 0.91]), np.array([0.80, 0.90, 0.99])
    fit = fit_quality(scores, dice, ["a", "b", "c"], [])
    assert fit is not None
    assert 1 <= fit.slope < 2


@pytest.mark.parametrize("patients", [["a", "a", "a", "a"], ["a", "b"]])
def test_too_few_promise_nothing(patients: list[str]) -> None:
    values = np.linspace(0.5, 0.9, len(patients))
    assert fit_quality(values, values, patients, []) is None


def test_sureness_that_misleads_is_not_believed() -> None:
    scores, dice, patients = cohort(10)
    fit = fit_quality(scores, 1 - dice, patients, [])
    assert fit is not None
    assert fit.slope == 0
    assert fit.expect(0.1) == fit.expect(0.99)


def test_an_estimate_stays_within_zero_and_one() -> None:
    fit = fit_quality(*cohort(10), [])
    assert fit is not None
    assert min(fit.expect(0.0)) == 0
    assert max(fit.expect(1.2)) == 1


def test_scans_without_any_structure_are_left_out() -> None:
    scores, dice, patients = cohort(10)
    dice[0] = np.nan
    fit = fit_quality(scores, dice, patients, [])
    assert fit is not None
    assert fit.cases == 19


def test_a_class_that_must_be_there_counts_when_it_is_missing() -> None:
    signs = Signs(np.array([0.9, np.nan]), np.array([0.8, np.nan]), np.array([0.1, np.nan]))
    assert score_of(signs, ["organ", "tumour"], []) == pytest.approx(0.85)
    assert score_of(signs, ["organ", "tumour"], ["organ", "tumour"]) == pytest.approx(0.425)
    empty = Signs(*(np.array([np.nan]) for _ in range(3)))
    assert np.isnan(score_of(empty, ["tumour"], []))


def test_the_rank_correlation_is_scipys() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 6, 30).astype(float), generator.normal(size=30)
    assert spearman(one, other) == pytest.approx(float(stats.spearmanr(one, other).statistic), abs=1e-4)
    assert spearman(np.ones(5), np.arange(5.0)) is None
