"""The promotion checks: scores that pass, and the objections to others."""

from __future__ import annotations

from typing import Any

import pytest
from support.scores import score

from sss_model.config import Promotion
from sss_model.errors import InputError
from sss_model.evaluation.metrics import Score
from sss_ops.registry.commands import comparison_table
from sss_ops.registry.promotion import ChampionComparison
from sss_ops.registry.promotion_checks import check_promotion


def settings(**changes: Any) -> Promotion:
    values = {
        "min_patients": 2,
        "min_dice": 0,
        "margin": 0.02,
        "class_margins": {},
        "confidence": 0.95,
        "resamples": 1000,
    }
    return Promotion.model_validate(values | changes)


def rows(*, RV: float, LV: float, patients: int = 6, spread: float = 0.01) -> list[Score]:  # noqa: N803
    return [
        score(f"p{number}_a", name, dice + spread * (-1) ** number)
        for number in range(patients)
        for name, dice in (("RV", RV), ("LV", LV))
    ]


def test_as_good_in_every_class_is_good_enough() -> None:
    verdict = check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.7, LV=0.81), settings(), seed=0)
    assert verdict.objections == []
    assert (verdict.patients, verdict.cases) == (6, 6)


def test_a_class_that_lost_more_than_its_margin_is_named_though_the_mean_rose() -> None:
    verdict = check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.95, LV=0.75), settings(), seed=0)
    assert verdict.objections == ["LV: may lose up to 0.050 Dice against the champion; expected less than 0.02"]


def test_a_class_may_have_a_margin_of_its_own() -> None:
    wide = settings(class_margins={"LV": 0.1})
    assert check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.7, LV=0.75), wide, seed=0).objections == []


def test_too_little_evidence_does_not_hold() -> None:
    old = rows(RV=0.7, LV=0.8, patients=4)
    new = [score(row.case, row.class_name, row.dice + (0.2 if "p1" in row.case else -0.03)) for row in old]
    verdict = check_promotion(old, new, settings(), seed=0)
    assert verdict.checks[0].difference == pytest.approx(0.0275)
    assert verdict.objections[0].startswith("RV: may lose up to")


def test_a_class_that_no_or_one_patient_shows_is_not_judged() -> None:
    lone = [score("p0_a", "clot", 0.5), *(score(f"p{number}_a", "clot", None) for number in range(1, 6))]
    none = [score(f"p{number}_a", "scar", None) for number in range(6)]
    both = [*rows(RV=0.7, LV=0.8), *lone, *none]
    assert check_promotion(both, both, settings(), seed=0).objections == [
        "clot: one test patient alone shows it; expected at least two",
        "scar: no test case shows it; expected at least two patients who do",
    ]


def test_the_mean_must_reach_the_least_dice_with_and_without_a_champion() -> None:
    new = rows(RV=0.7, LV=0.8)
    sentence = r"mean Dice 0.750; expected at least 0.9 (promotion.min_dice)"
    assert check_promotion(None, new, settings(min_dice=0.9), seed=0).objections == [sentence]
    assert check_promotion(rows(RV=0.5, LV=0.5), new, settings(min_dice=0.9), seed=0).objections == [sentence]
    assert check_promotion(None, new, settings(min_dice=0.7), seed=0).objections == []


@pytest.mark.parametrize("champion", [None, rows(RV=0.7, LV=0.8)])
def test_prompted_rows_are_refused(champion: list[Score] | None) -> None:
    helped = [score(row.case, row.class_name, row.dice, prompt_source="oracle") for row in rows(RV=0.7, LV=0.8)]
    with pytest.raises(InputError, match=r"scored with prompts \(oracle\)"):
        check_promotion(champion, helped, settings(), seed=0)


def test_a_margin_for_a_class_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"promotion\.class_margins: found lv; expected classes of the data, RV, LV"):
        check_promotion(None, rows(RV=0.7, LV=0.8), settings(class_margins={"lv": 0.1}), seed=0)


def test_the_table_shows_every_number_that_decides() -> None:
    verdict = check_promotion(rows(RV=0.7, LV=0.8), rows(RV=0.9, LV=0.75), settings(), seed=0)
    shown = comparison_table(ChampionComparison("heart", "2", "1", verdict, {}, {}))
    assert "heart version 2 against version 1 (champion), Dice on 6 scans of 6 test patients" in shown
    cells = {line.split()[0]: line.split()[1:] for line in shown.splitlines()[1:]}
    assert cells["RV"] == ["0.700", "0.900", "+0.200", "+0.200", "to", "+0.200", "-0.02", "holds"]
    assert cells["LV"] == ["0.800", "0.750", "-0.050", "-0.050", "to", "-0.050", "-0.02", "does", "not", "hold"]
    assert cells["mean"][:3] == ["0.750", "0.825", "+0.075"]
