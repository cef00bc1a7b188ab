from __future__ import annotations

import csv
import json

import pytest
from scores_for_tests import score

from sss_model.summary import aggregate, write_per_class, write_scores, write_summary


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


def test_the_summary_s_file_depends_on_the_numbers_alone(tmp_path, scores):
    for name, rows in (("one", scores), ("two", scores[::-1])):
        write_summary(aggregate(rows), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_summary_s_file_is_json_without_nan_and_with_six_decimals(tmp_path):
    write_summary(aggregate([score("p1_a", "RV", 1 / 3), score("p1_a", "LV", None)]), tmp_path / "metrics.json")
    text = (tmp_path / "metrics.json").read_text()
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
    assert lines[0] == "class,dice,jaccard,hd95_mm,asd_mm"
    assert [line.split(",")[:2] for line in lines[1:]] == [["RV", "0.9"], ["LV", "0.4"]]
