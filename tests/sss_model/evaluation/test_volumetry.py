from __future__ import annotations

import pytest
from support.scores import score

from sss_model.evaluation.volumetry import agreement, ejection_fractions, summarise_ejection, volume_agreement


def cavity(case: str, true: float, predicted: float, **values):
    return score(case, "LV", 0.9, truth_ml=true, predicted_ml=predicted, volume_error_ml=predicted - true, **values)


def test_agreement_is_bland_and_altman_s():
    found = agreement([1.0, -1.0, 3.0])
    assert found["bias"] == 1.0
    assert found["mean_absolute"] == pytest.approx(5 / 3)
    assert (found["low"], found["high"]) == (pytest.approx(1 - 1.96 * 2), pytest.approx(1 + 1.96 * 2))


def test_one_measurement_has_no_limits_and_none_has_nothing():
    assert agreement([2.0]) == {"bias": 2.0, "mean_absolute": 2.0, "low": None, "high": None}
    assert set(agreement([]).values()) == {None}


def test_a_missed_volume_is_an_error_and_a_structure_that_is_nowhere_is_none():
    rows = [cavity("p1_a", 100, 90), cavity("p2_a", 80, 0, status="missed"), score("p3_a", "LV", None)]
    assert volume_agreement(rows)["LV"]["bias"] == -45.0


def test_the_largest_labelled_cavity_is_diastole_whatever_was_predicted():
    rows = [cavity("p1_b", 50, 90), cavity("p1_a", 100, 80), score("p1_a", "RV", 0.5), cavity("p2_a", 100, 100)]
    (found,) = ejection_fractions(rows, "LV")
    assert (found.patient, found.end_diastole, found.end_systole) == ("p1", "p1_a", "p1_b")
    assert found.true_percent == 50.0
    assert found.predicted_percent == pytest.approx(100 * (80 - 90) / 80)
    assert found.error_percent == pytest.approx(-62.5)


def test_equal_volumes_are_still_two_scans():
    (found,) = ejection_fractions([cavity("p1_a", 70, 70), cavity("p1_b", 70, 70)], "LV")
    assert {found.end_diastole, found.end_systole} == {"p1_a", "p1_b"}


def test_a_cavity_missed_at_diastole_has_no_fraction_and_is_counted():
    rows = [
        cavity("p1_a", 100, 0, status="missed"),
        cavity("p1_b", 50, 40),
        cavity("p2_a", 100, 100),
        cavity("p2_b", 40, 50),
    ]
    found = ejection_fractions(rows, "LV")
    assert found[0].predicted_percent is None
    summary = summarise_ejection(found, "LV")
    assert (summary["patients"], summary["measured"], summary["bias"]) == (2, 1, pytest.approx(-10))


def test_a_frame_without_a_labelled_cavity_gives_no_fraction():
    assert ejection_fractions([cavity("p1_a", 100, 90), score("p1_b", "LV", None)], "LV") == []
