from __future__ import annotations

import pytest
from support.scores import score

from sss_model.evaluation.summary import aggregate


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
