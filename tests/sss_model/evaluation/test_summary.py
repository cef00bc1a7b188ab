"""Summaries of an evaluation: tables, intervals, calibration."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest
from support.scores import score

from sss_model.errors import InputError
from sss_model.evaluation.calibration import (
    BINS,
    count_reliability,
    expected_calibration_error,
    near_structures,
    write_reliability,
)
from sss_model.evaluation.intervals import confidence_intervals
from sss_model.evaluation.summary import aggregate
from sss_model.evaluation.tables import read_scores, summary_bytes, write_per_class, write_scores


@pytest.fixture
def scores():
    return [
        score("p1_a", "RV", 0.9),
        score("p1_a", "LV", 0.5, ssl4mis_hd95_voxel=3.0),
        score("p1_b", "RV", None),
        score("p1_b", "LV", 0.7),
        score("p2_a", "RV", None),
        score("p2_a", "LV", 0.0, status="missed", hd95_mm=300.0, asd_mm=300.0),
    ]


def test_the_summary_s_file_depends_on_the_numbers_alone(scores):
    assert summary_bytes(aggregate(scores)) == summary_bytes(aggregate(scores[::-1]))


def test_the_summary_s_file_is_json_without_nan_and_with_six_decimals():
    text = summary_bytes(aggregate([score("p1_a", "RV", 1 / 3), score("p1_a", "LV", None)])).decode()
    assert json.loads(text, parse_constant=pytest.fail)["per_class"]["LV"]["dice"] is None
    assert "0.333333," in text


def test_cases_csv_has_a_row_for_every_score_and_blanks_where_nothing_applies(tmp_path, scores):
    write_scores(scores, tmp_path / "cases.csv")
    with (tmp_path / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == [row.case for row in scores]
    assert (rows[2]["status"], rows[2]["dice"], rows[2]["hd95_mm"]) == ("not_applicable", "", "")
    assert (rows[5]["class"], rows[5]["status"], rows[5]["hd95_mm"]) == ("LV", "missed", "300.0")


def test_per_class_means_are_a_table(tmp_path, scores):
    write_per_class(aggregate(scores), tmp_path / "per_class.csv")
    lines = (tmp_path / "per_class.csv").read_text().splitlines()
    assert lines[0] == "class,dice,jaccard,hd95_mm,asd_mm,nsd"
    assert [line.split(",")[:2] for line in lines[1:]] == [["RV", "0.9"], ["LV", "0.4"]]


def test_scores_are_read_back_as_they_were_written(tmp_path, scores):
    write_scores(scores, tmp_path / "cases.csv")
    back = read_scores(tmp_path / "cases.csv")
    assert [row.case for row in back] == [row.case for row in scores]
    assert aggregate(back) == aggregate(scores)
    assert back[2].dice is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("0.9", "much", "line 2: a value that can't be read"),
        ("missed", "mislaid", "line 7: a value that can't be read .status 'mislaid'"),
        ("patient,group", "patient,team", "expected rows of case, patient, group"),
    ],
)
def test_scores_that_no_evaluation_wrote_are_refused(tmp_path, scores, old, new, sentence):
    path = tmp_path / "cases.csv"
    write_scores(scores, path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=sentence):
        read_scores(path)


def test_missing_scores_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"cases\.csv: no such file"):
        read_scores(tmp_path / "cases.csv")


def test_means_are_over_volumes_and_then_over_classes(scores):
    summary = aggregate(scores)
    assert summary["per_class"]["RV"]["dice"] == 0.9
    assert summary["per_class"]["LV"]["dice"] == 0.4
    assert summary["dice"] == 0.65


def test_a_missed_structure_is_counted_with_its_distance(scores):
    assert aggregate(scores)["per_class"]["LV"]["hd95_mm"] == pytest.approx((5 + 3 + 300) / 3)


def test_the_literature_s_means_stand_beside_and_count_empty_masks_as_its_rule_says(scores):
    literature = aggregate(scores)["ssl4mis"]
    assert literature["per_class"]["RV"]["dice"] == 0.3
    assert literature["per_class"]["LV"]["hd95_voxel"] == 1.0
    assert literature["dice"] == 0.35


def test_cases_patients_and_kinds_of_result_are_counted(scores):
    summary = aggregate(scores)
    assert (summary["cases"], summary["patients"], summary["prompt_source"]) == (3, 2, "none")
    assert summary["counts"] == {"scored": 3, "missed": 1, "invented": 0, "not_applicable": 2}


def test_a_class_that_is_nowhere_has_no_mean_and_lowers_none():
    summary = aggregate([score("p1_a", "RV", 0.8), score("p1_a", "LV", None)])
    assert summary["per_class"]["LV"]["dice"] is None
    assert summary["dice"] == 0.8


def test_what_was_missed_and_invented_is_counted_per_class(scores):
    counted = aggregate(scores)["counts_per_class"]
    assert counted["LV"] == {"scored": 2, "missed": 1, "invented": 0, "not_applicable": 0}
    assert counted["RV"] == {"scored": 1, "missed": 0, "invented": 0, "not_applicable": 2}


def test_every_group_has_means_and_counts_of_its_own_when_there_are_several():
    rows = [
        score("p1_a", "LV", 0.9, group="NOR"),
        score("p2_a", "LV", 0.5, group="DCM"),
        score("p3_a", "LV", 0.0, group="DCM", status="missed"),
    ]
    groups = aggregate(rows)["groups"]
    assert list(groups) == ["DCM", "NOR"]
    assert (groups["DCM"]["dice"], groups["DCM"]["patients"], groups["DCM"]["counts"]["missed"]) == (0.25, 2, 1)
    assert groups["NOR"]["per_class"]["LV"]["dice"] == 0.9
    assert aggregate(rows[1:])["groups"] == {}


def test_ejection_fractions_are_summarised_where_a_cavity_is_named(scores):
    assert "ejection" not in aggregate(scores)
    assert aggregate(scores, ejection_class="LV")["ejection"]["patients"] == 1


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


def test_the_error_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 500))
    confidence = rng.uniform(0, 1, 500)  # too low in some bins, too high in others
    right, expected = truth == prediction, 0.0
    for number in range(BINS):
        inside = (confidence >= number / BINS) & (confidence < (number + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert expected_calibration_error(count_reliability(truth, prediction, confidence)) == pytest.approx(expected)


def test_one_that_is_sure_and_right_has_no_error_and_one_that_is_sure_and_wrong_has_the_whole():
    truth, sure = np.ones(10, np.uint8), np.ones(10, np.float32)
    assert expected_calibration_error(count_reliability(truth, truth, sure)) == 0.0
    assert expected_calibration_error(count_reliability(truth, 0 * truth, sure)) == 1.0


def test_tables_of_scans_add_up():
    rng = np.random.default_rng(1)
    truth, prediction = rng.integers(0, 2, (2, 60))
    confidence = rng.uniform(0.5, 1, 60)
    halves = sum(
        count_reliability(truth[part], prediction[part], confidence[part]) for part in (slice(20), slice(20, 60))
    )
    assert halves == pytest.approx(count_reliability(truth, prediction, confidence))


def test_nothing_to_measure_is_no_error():
    nothing = np.zeros((4, 4, 4), np.uint8)
    near = near_structures(nothing, nothing, (1, 1, 1), 5)
    assert not near.any()
    assert expected_calibration_error(count_reliability(nothing[near], nothing[near], np.ones(0))) is None


def test_the_band_is_in_millimetres_and_holds_both_masks():
    truth, prediction = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    truth[1, 1, 1], prediction[7, 7, 1] = 1, 2
    near = near_structures(truth, prediction, (1.0, 2.0, 5.0), 2.0)
    assert {tuple(voxel) for voxel in np.argwhere(near[:5, :5])} == {
        (1, 1, 1), (0, 1, 1), (2, 1, 1), (3, 1, 1), (1, 0, 1), (1, 2, 1)
    }  # fmt: skip
    assert near[7, 7, 1]


def test_a_table_says_for_every_bin_how_sure_and_how_right(tmp_path):
    confidence = np.array([0.99, 0.97, 0.5])
    write_reliability(count_reliability(np.array([1, 1, 1]), np.array([1, 0, 1]), confidence), tmp_path / "c.csv")
    rows = pd.read_csv(tmp_path / "c.csv")
    assert len(rows) == BINS
    assert tuple(rows.iloc[-1])[2:] == (2, pytest.approx(0.98), 0.5)
    assert rows["accuracy"].notna().sum() == 2
