"""Predicted quality: features, the line to Dice, reviews, and its calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.inference.predictor import Predictor
from sss_model.inference.quality import (
    QualityFeatures,
    expected_dice,
    fit_quality,
    left_out,
    measure_quality_features,
    quality_score,
    review,
    spearman,
)
from sss_model.io.volumes import read_label, read_volume
from sss_model.training.quality_calibration import calibrate, predict_labelled


def maps(confidence: float, *, shift: int = 0) -> torch.Tensor:
    """Two slices with a square of class 1, predicted with this probability, and nothing of class 2."""
    probabilities = torch.zeros(2, 3, 16, 16)
    probabilities[:, 0] = 1.0
    square = (slice(None), slice(4, 10), slice(4 + shift, 10 + shift))
    probabilities[:, 0][square], probabilities[:, 1][square] = 1 - confidence, confidence
    return probabilities


def votes(*views: torch.Tensor) -> list[torch.Tensor]:
    return [view.argmax(1) for view in views]


def test_a_confident_network_expects_a_perfect_mask_and_another_one_less() -> None:
    dice = [measure_quality_features(maps(value), votes(maps(value))).confidence[0] for value in (1.0, 0.8, 0.6)]
    assert dice[0] == 1
    assert dice == sorted(dice, reverse=True)
    assert dice[2] < 0.8


def test_the_expected_dice_is_the_mean_over_masks_drawn_by_the_probabilities() -> None:
    generator = np.random.default_rng(0)
    probability = generator.random(4000)
    mask = probability > 0.5
    drawn = [generator.random(4000) < probability for _ in range(200)]
    dice = [2 * (mask & truth).sum() / (mask.sum() + truth.sum()) for truth in drawn]
    expected = expected_dice(torch.from_numpy(mask), torch.from_numpy(probability))
    assert expected == pytest.approx(float(np.mean(dice)), abs=0.003)


def test_views_that_disagree_are_seen_and_a_single_view_says_nothing() -> None:
    same, moved = maps(0.9), maps(0.9, shift=3)
    assert measure_quality_features(same, votes(same, same)).view_agreement[0] == 1
    assert measure_quality_features(same, votes(same, moved)).view_agreement[0] == pytest.approx(0.75)
    assert np.isnan(measure_quality_features(same, votes(same)).view_agreement[0])


def test_slices_that_do_not_continue_are_seen() -> None:
    whole, broken = maps(0.9), maps(0.9)
    broken[1] = maps(0.9, shift=3)[1]
    assert measure_quality_features(whole, votes(whole)).slice_agreement[0] == 1
    assert measure_quality_features(broken, votes(broken)).slice_agreement[0] == pytest.approx(0.5)
    assert np.isnan(measure_quality_features(whole[:1], votes(whole[:1])).slice_agreement[0])


def test_nothing_is_said_of_a_class_that_is_not_in_the_mask() -> None:
    features = measure_quality_features(maps(0.9), votes(maps(0.9), maps(0.9)))
    assert features.found.tolist() == [True, False]
    assert np.isnan([features.confidence[1], features.view_agreement[1], features.slice_agreement[1]]).all()


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


def test_a_patients_own_scans_do_not_help_to_predict_them() -> None:
    scores, dice, patients = cohort(5, noise=0)
    dice[:2] = 0.2
    expected = left_out(scores, dice, np.array(patients))
    assert np.abs(expected[:2] - (1 - 2 * (1 - scores[:2]))).max() < 0.05


def test_few_scans_leave_the_slope_near_one() -> None:
    scores, dice = np.array([0.90, 0.905, 0.91]), np.array([0.80, 0.90, 0.99])
    fit = fit_quality(scores, dice, ["a", "b", "c"], [])
    assert fit is not None
    assert 1 <= fit.slope < 2


@pytest.mark.parametrize("patients", [["a", "a", "a", "a"], ["a", "b"]])
def test_too_few_promise_nothing(patients: list[str]) -> None:
    values = np.linspace(0.5, 0.9, len(patients))
    assert fit_quality(values, values, patients, []) is None


def test_confidence_that_misleads_is_not_believed() -> None:
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
    features = QualityFeatures(np.array([0.9, np.nan]), np.array([0.8, np.nan]), np.array([0.1, np.nan]))
    assert quality_score(features, ["organ", "tumour"], []) == pytest.approx(0.85)
    assert quality_score(features, ["organ", "tumour"], ["organ", "tumour"]) == pytest.approx(0.425)
    empty = QualityFeatures(*(np.array([np.nan]) for _ in range(3)))
    assert np.isnan(quality_score(empty, ["tumour"], []))


def test_the_rank_correlation_is_scipys() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 6, 30).astype(float), generator.normal(size=30)
    assert spearman(one, other) == pytest.approx(float(stats.spearmanr(one, other).statistic), abs=1e-4)
    assert spearman(np.ones(5), np.arange(5.0)) is None


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor.load(checkpoint)


def test_training_fits_validation_scans_and_no_others(predictor: Predictor, phantom: Path, manifest: Manifest) -> None:
    found, cases = predictor.checkpoint.meta.quality, manifest.split("val")
    again = calibrate(predictor, cases, labels=manifest.labels, data_dir=phantom)
    one = len({case.patient for case in cases}) == 1
    assert (found is None) == (again is None) == one
    others = calibrate(predictor, manifest.split("train"), labels=manifest.labels, data_dir=phantom)
    assert others is not None
    if found and again:
        assert found.slope == pytest.approx(again.slope, abs=1e-4)
        assert (found.cases, found.patients) == (len(cases), len({case.patient for case in cases}))
        assert found.intercept != pytest.approx(others.intercept, abs=1e-4)


def test_dice_is_that_of_the_masks_on_their_own_grid(predictor: Predictor, phantom: Path, manifest: Manifest) -> None:
    case = manifest.split("val")[0]
    [predicted] = predict_labelled(predictor, [case], labels=manifest.labels, data_dir=phantom)
    truth, mask = read_label(phantom / str(case.label)).array, predictor(read_volume(phantom / case.image)).array
    for index, dice in enumerate(predicted.dice, start=1):
        sizes = (truth == index).sum() + (mask == index).sum()
        assert dice == pytest.approx(2 * ((truth == index) & (mask == index)).sum() / sizes)
    assert predicted.present.all()


def test_a_mask_is_worth_a_review_where_it_is_bad_lacks_a_class_or_its_scan_is_strange(
    predictor: Predictor, phantom: Path, manifest: Manifest
) -> None:
    fit = calibrate(predictor, manifest.split("train"), labels=manifest.labels, data_dir=phantom)
    assert fit is not None
    assessed = predictor.assess(read_volume(phantom / manifest.split("test")[0].image))
    good = assessed.features._replace(confidence=np.full(3, 0.99), view_agreement=np.full(3, 0.99))
    known = {"labels": manifest.labels, "fit": fit.model_copy(update={"always": ["wall"]})}
    assert review(good, (), **known, review_below=0.0).reasons == ()  # type: ignore[arg-type]
    assert "below the limit 1.00" in review(good, (), **known, review_below=1.0).reasons[0]  # type: ignore[arg-type]
    assert review(good, ("strange",), **known, review_below=0.0).reasons == ("strange",)  # type: ignore[arg-type]
    wall = manifest.labels["wall"] - 1
    lost = good._replace(confidence=np.where(np.arange(3) == wall, np.nan, good.confidence))
    lacking = review(lost, (), **known, review_below=0.0)  # type: ignore[arg-type]
    assert lacking.reasons == ("no wall found, which every validation scan has",)
    assert lacking.estimate is not None
    assert lacking.estimate.dice < review(good, (), **known).estimate.dice  # type: ignore[arg-type,union-attr]


def test_a_checkpoint_without_calibration_gives_no_estimate(
    checkpoint: Path, phantom: Path, manifest: Manifest
) -> None:
    loaded = load_checkpoint(checkpoint)
    bare = replace(loaded, meta=loaded.meta.model_copy(update={"quality": None, "fingerprint": None}))
    assessed = Predictor(bare).assess(read_volume(phantom / manifest.split("test")[0].image))
    assert assessed.warnings == ()
    assert assessed.review.estimate is None
