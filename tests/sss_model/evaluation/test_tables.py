from __future__ import annotations

import csv
import json

import pytest
from support.scores import score

from sss_model.errors import InputError
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
