"""What a prediction says of its own quality."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sss_model.inference.quality import expected_dice, measure_signs


def maps(sure: float, *, shift: int = 0) -> torch.Tensor:
    """Two slices with a square of class 1, of which the network is so sure, and nothing of class 2."""
    probabilities = torch.zeros(2, 3, 16, 16)
    probabilities[:, 0] = 1.0
    square = (slice(None), slice(4, 10), slice(4 + shift, 10 + shift))
    probabilities[:, 0][square], probabilities[:, 1][square] = 1 - sure, sure
    return probabilities


def votes(*looks: torch.Tensor) -> list[torch.Tensor]:
    return [look.argmax(1) for look in looks]


def test_a_sure_network_expects_a_perfect_mask_and_an_unsure_one_less() -> None:
    dice = [measure_signs(maps(sure), votes(maps(sure))).sure[0] for sure in (1.0, 0.8, 0.6)]
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
    assert measure_signs(same, votes(same, same)).views[0] == 1
    assert measure_signs(same, votes(same, moved)).views[0] == pytest.approx(0.75)
    assert np.isnan(measure_signs(same, votes(same)).views[0])


def test_slices_that_do_not_continue_are_seen() -> None:
    whole, broken = maps(0.9), maps(0.9)
    broken[1] = maps(0.9, shift=3)[1]
    assert measure_signs(whole, votes(whole)).slices[0] == 1
    assert measure_signs(broken, votes(broken)).slices[0] == pytest.approx(0.5)
    assert np.isnan(measure_signs(whole[:1], votes(whole[:1])).slices[0])


def test_nothing_is_said_of_a_class_that_is_not_in_the_mask() -> None:
    signs = measure_signs(maps(0.9), votes(maps(0.9), maps(0.9)))
    assert signs.found.tolist() == [True, False]
    assert np.isnan([signs.sure[1], signs.views[1], signs.slices[1]]).all()
