"""The paired bootstrap: what it must get right on numbers whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from support.scores import score

from sss_model.errors import InputError
from sss_model.evaluation.comparison import OVERALL, DiceDifference, compare, widening
from sss_model.evaluation.metrics import Score

SETTINGS = {"confidence": 0.95, "resamples": 1000, "seed": 0}


def rows(dice: Sequence[float | None], name: str = "RV") -> list[Score]:
    """One case a patient."""
    return [score(f"p{number}_a", name, value) for number, value in enumerate(dice)]


def by_class(differences: list[DiceDifference]) -> dict[str, DiceDifference]:
    return {difference.class_name: difference for difference in differences}


def test_means_and_difference_are_those_of_the_cases() -> None:
    old = rows([0.5, 0.7, 0.9]) + rows([0.2, 0.2, 0.2], "LV")
    new = rows([0.6, 0.8, 1.0]) + rows([0.4, 0.4, 0.4], "LV")
    found = compare(old, new, **SETTINGS)
    assert [difference.class_name for difference in found] == ["RV", "LV", OVERALL]
    right = by_class(found)["RV"]
    assert (right.champion, right.challenger) == (pytest.approx(0.7), pytest.approx(0.8))
    # Every patient gained the same, so no draw can give another difference.
    assert [right.difference, right.low, right.high] == pytest.approx([0.1, 0.1, 0.1])
    assert by_class(found)[OVERALL].difference == pytest.approx(0.15)


def test_a_patient_with_two_cases_weighs_twice_and_is_drawn_whole() -> None:
    old = [score("p1_a", "RV", 0.5), score("p1_b", "RV", 0.5), score("p2_a", "RV", 0.5)]
    new = [score("p1_a", "RV", 0.8), score("p1_b", "RV", 0.2), score("p2_a", "RV", 0.5)]
    (right, _) = compare(old, new, **SETTINGS)
    # The two cases of p1 cancel out within every draw; drawn one by one they would not.
    assert [right.difference, right.low, right.high] == pytest.approx([0.0, 0.0, 0.0])
    new[1] = score("p1_b", "RV", 0.8)
    assert compare(old, new, **SETTINGS)[0].difference == pytest.approx(0.2)


def test_swapping_the_models_turns_every_sign() -> None:
    generator = np.random.default_rng(1)
    old, new = rows(generator.uniform(size=9)), rows(generator.uniform(size=9))
    (there, _), (back, _) = compare(old, new, **SETTINGS), compare(new, old, **SETTINGS)
    assert [there.difference, there.low, there.high] == pytest.approx([-back.difference, -back.high, -back.low])


def test_a_seed_gives_the_same_numbers_and_another_seed_nearly_those() -> None:
    generator = np.random.default_rng(2)
    old, new = rows(generator.uniform(size=9)), rows(generator.uniform(size=9))
    assert compare(old, new, **SETTINGS) == compare(old, new, **SETTINGS)
    other = compare(old, new, **{**SETTINGS, "seed": 1})
    assert other != compare(old, new, **SETTINGS)
    assert other[0].low == pytest.approx(compare(old, new, **SETTINGS)[0].low, abs=0.05)


@pytest.mark.parametrize("patients", [5, 10, 20])
def test_the_interval_holds_the_truth_as_often_as_it_says(patients: int) -> None:
    generator = np.random.default_rng(patients)
    truth, held, trials = 0.03, 0, 400
    for _ in range(trials):
        hard = generator.normal(0.7, 0.1, patients)
        gain = generator.normal(truth, 0.05, patients)
        (right, _) = compare(rows(hard), rows(hard + gain), **SETTINGS)
        held += right.low <= truth <= right.high
    # 0.95 give or take three standard errors; the plain percentile interval gets 0.82 of 5 patients.
    assert 0.915 <= held / trials <= 0.985


def test_pairing_takes_the_patients_own_difficulty_out() -> None:
    generator = np.random.default_rng(3)
    hard = generator.uniform(0.1, 0.8, 20)
    old, new = rows(hard), rows(hard + 0.02 + generator.normal(0, 0.001, 20))
    (paired, _) = compare(old, new, **SETTINGS)
    (shuffled, _) = compare(old, rows(generator.permutation([row.dice for row in new])), **SETTINGS)
    assert paired.low > 0.01
    assert shuffled.high - shuffled.low > 20 * (paired.high - paired.low)


def test_few_patients_get_a_wider_interval_and_many_the_plain_one() -> None:
    assert widening(0.95, 3) > widening(0.95, 10) > widening(0.95, 1000) > 1
    assert widening(0.95, 100_000) == pytest.approx(1, abs=1e-4)


def test_what_neither_shows_is_no_evidence_and_what_one_invents_counts_against_it() -> None:
    old, new = rows([None, 0.5, 0.5, None]), rows([None, 0.5, 0.5, 0.0])
    (right, _) = compare(old, new, **SETTINGS)
    assert right.champion == pytest.approx(2 / 3)
    assert right.challenger == pytest.approx(1 / 3)
    (nothing, _) = compare(rows([None, None]), rows([None, None]), **SETTINGS)
    assert nothing == DiceDifference("RV", None, None, None, None, None)


def test_a_class_that_few_draws_hold_does_not_spoil_the_mean_over_classes() -> None:
    old = rows([0.5] * 6) + rows([0.5, *[None] * 5], "clot")
    new = rows([0.6] * 6) + rows([0.7, *[None] * 5], "clot")
    found = by_class(compare(old, new, **SETTINGS))
    assert found[OVERALL].low == pytest.approx(0.078, abs=0.001)


def test_one_patient_alone_tells_a_difference_and_not_how_sure_it_is() -> None:
    old, new = rows([0.5, None, None], "clot"), rows([0.7, None, None], "clot")
    (clot, _) = compare(old, new, **SETTINGS)
    assert (clot.difference, clot.low, clot.high) == (pytest.approx(0.2), None, None)


def test_rows_that_do_not_pair_are_refused() -> None:
    with pytest.raises(InputError, match="only one model was scored on class RV of p2_a"):
        compare(rows([0.5, 0.5]), rows([0.5, 0.5, 0.5]), **SETTINGS)


def test_one_patient_is_nothing_to_draw_from() -> None:
    with pytest.raises(InputError, match="1 patients; expected at least 2"):
        compare(rows([0.5]), rows([0.5]), **SETTINGS)


@pytest.mark.parametrize("source", ["oracle", "human"])
def test_prompted_rows_can_not_judge(source: str) -> None:
    helped = [score("p0_a", "RV", 0.9, prompt_source=source), score("p1_a", "RV", 0.9)]
    with pytest.raises(InputError, match=rf"p0_a: scored with prompts \({source}\); expected none, or the model"):
        compare(rows([0.5, 0.5]), helped, **SETTINGS)
