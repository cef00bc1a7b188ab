from __future__ import annotations

import numpy as np
import pytest
from support.scores import score

from sss_model.evaluation.intervals import confidence_intervals


def cohort(patients: int, *, scans: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        good = rng.uniform(0.5, 0.9)
        for scan in range(scans):
            rows += [score(f"p{patient}_{scan}", name, good + rng.uniform(-0.01, 0.01)) for name in ("RV", "LV")]
    return rows


def test_an_interval_is_that_of_a_bootstrap_by_hand():
    rows = cohort(12)
    found = confidence_intervals(rows, ["dice"])["dice"]
    patients = sorted({row.patient for row in rows})
    mean = {patient: np.mean([row.dice for row in rows if row.patient == patient]) for patient in patients}
    rng = np.random.default_rng(99)
    draws = [np.mean([mean[one] for one in rng.choice(patients, len(patients))]) for _ in range(4000)]
    assert [found["low"], found["high"]] == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.01)


def test_scans_of_one_patient_are_drawn_together():
    # Six scans of a patient say no more than one: were scans drawn, the interval would be 2.4 times narrower.
    few, many = (confidence_intervals(cohort(10, scans=scans), ["dice"])["dice"] for scans in (1, 6))
    assert many["high"] - many["low"] > 0.8 * (few["high"] - few["low"])


def test_equal_scores_give_equal_intervals_and_the_seed_is_told():
    rows = cohort(5)
    one, other = (confidence_intervals(rows, ["dice", "nsd"]) for _ in range(2))
    assert one == other
    assert (one["seed"], one["level"], one["over"]) == (0, 0.95, "patients")


def test_a_class_s_interval_is_of_its_own_scans():
    rows = [score("p1_a", "RV", 0.2), score("p1_a", "LV", 0.9), score("p2_a", "RV", 0.4), score("p2_a", "LV", 0.9)]
    found = confidence_intervals(rows, ["dice"])
    assert found["per_class"]["RV"]["dice"] == {"low": pytest.approx(0.2), "high": pytest.approx(0.4)}
    assert found["per_class"]["LV"]["dice"] == {"low": pytest.approx(0.9), "high": pytest.approx(0.9)}
    assert found["dice"] == {"low": pytest.approx(0.55), "high": pytest.approx(0.65)}


def test_one_patient_has_no_interval():
    found = confidence_intervals(
        [score("p1_a", "RV", 0.5), score("p1_b", "RV", 0.7), score("p2_a", "RV", None)], ["dice"]
    )
    assert found["dice"] is None
    assert found["per_class"]["RV"]["dice"] is None


def test_draws_without_the_structure_are_left_out():
    rows = [score(f"p{number}_a", "RV", 0.5 if number < 2 else None) for number in range(6)]
    assert confidence_intervals(rows, ["dice"])["dice"] == {"low": 0.5, "high": 0.5}
