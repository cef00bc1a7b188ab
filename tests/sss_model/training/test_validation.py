"""Losses, their schedule, and Dice on validation volumes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from sss_model.config import Config
from sss_model.data.slices import SliceSet
from sss_model.errors import InputError
from sss_model.training.losses import pseudo_labels, segmentation_loss
from sss_model.training.schedule import Budget, learning_rate, unlabelled_weight
from sss_model.training.validation import Validation, validate


def logits_for(target: torch.Tensor, classes: int, sharpness: float) -> torch.Tensor:
    return sharpness * torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()


@pytest.fixture
def target() -> torch.Tensor:
    return torch.randint(0, 4, (2, 16, 16), generator=torch.Generator().manual_seed(0))


def test_confident_and_right_logits_have_no_loss(target: torch.Tensor) -> None:
    assert float(segmentation_loss(logits_for(target, 4, 50.0), target)) == pytest.approx(0, abs=1e-3)


def test_confident_and_wrong_logits_have_more_loss_than_uniform_ones(target: torch.Tensor) -> None:
    wrong = segmentation_loss(logits_for((target + 1) % 4, 4, 10.0), target)
    unsure = segmentation_loss(torch.zeros(2, 4, 16, 16), target)
    assert wrong > unsure > 0.5


def test_pixels_that_are_not_kept_have_no_gradient(target: torch.Tensor) -> None:
    keep = torch.zeros_like(target, dtype=torch.bool)
    keep[:, :8] = True
    logits = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = segmentation_loss(logits, target, keep)
    loss.backward()
    assert logits.grad is not None
    assert torch.all(logits.grad[:, :, 8:] == 0)
    assert torch.any(logits.grad[:, :, :8] != 0)
    alone = segmentation_loss(logits.detach()[:, :, :8], target[:, :8])
    assert float(loss.detach()) == pytest.approx(float(alone), rel=1e-5)


def test_keeping_nothing_gives_no_loss_and_no_gradient(target: torch.Tensor) -> None:
    logits = torch.randn(2, 4, 16, 16).requires_grad_()
    loss = segmentation_loss(logits, target, torch.zeros_like(target, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert torch.all(logits.grad == 0)


def test_pseudo_labels_are_kept_where_the_teacher_is_confident() -> None:
    probability = torch.tensor([[0.95, 0.03, 0.02], [0.5, 0.3, 0.2], [0.05, 0.05, 0.9]]).log()
    classes, kept = pseudo_labels(probability.T[None, :, None, :], confidence=0.89)
    assert classes.flatten().tolist() == [0, 0, 2]
    assert kept.flatten().tolist() == [True, False, True]


def test_a_budget_of_steps_ignores_the_clock(recipe: Callable[..., Config]) -> None:
    budget = Budget.of(recipe({"train.steps": 10}).train)
    assert budget.progress(step=5, seconds=1e9) == 0.5
    assert budget.progress(step=10, seconds=0) == 1


def test_a_budget_of_minutes_ignores_the_steps(recipe: Callable[..., Config]) -> None:
    budget = Budget.of(recipe({"train.steps": None, "train.minutes": 2}).train)
    assert budget.progress(step=10**9, seconds=30) == 0.25
    assert budget.progress(step=0, seconds=121) == 1


def test_the_schedule_begins_with_the_first_step_and_preparation_counts(recipe: Callable[..., Config]) -> None:
    train = recipe({"train.steps": None, "train.minutes": 2}).train
    budget = Budget.of(train, prepared=60)
    assert [budget.progress(step=0, seconds=seconds) for seconds in (60, 90, 121)] == [0, 0.5, 1]
    with pytest.raises(InputError, match=r"train.minutes: 2, and 2.0 were gone before the first step"):
        Budget.of(train, prepared=120)
    assert Budget.of(recipe({"train.steps": 10}).train, prepared=1e9).progress(step=5, seconds=1e9) == 0.5


def test_the_learning_rate_rises_then_falls_to_zero(recipe: Callable[..., Config]) -> None:
    train = recipe({"train.warmup": 0.1}).train
    rates = [learning_rate(train, progress / 100) for progress in range(101)]
    assert rates[10] == 1
    assert all(a < b for a, b in pairwise(rates[1:11]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0, abs=1e-9)


def test_the_unlabelled_loss_is_ramped_up(recipe: Callable[..., Config]) -> None:
    train = recipe({"train.unlabelled_from": 0.3, "train.ramp": 0.2, "train.unlabelled_weight": 3.0}).train
    assert unlabelled_weight(train, 0) == unlabelled_weight(train, 0.29) == 0
    assert 0 < unlabelled_weight(train, 0.3) < 0.03
    assert unlabelled_weight(train, 0.4) < unlabelled_weight(train, 0.45) < 3
    assert unlabelled_weight(train, 0.5) == unlabelled_weight(train, 1) == 3


def test_supervised_training_gives_the_unlabelled_loss_no_weight(recipe: Callable[..., Config]) -> None:
    assert unlabelled_weight(recipe({"train.method": "supervised"}).train, 1) == 0


def test_no_ramp_means_full_weight_at_once(recipe: Callable[..., Config]) -> None:
    assert unlabelled_weight(recipe({"train.unlabelled_from": 0, "train.ramp": 0}).train, 0) == 1


LABELS = {"background": 0, "cavity": 1, "wall": 2}
DEPTHS = (4, 6)


def scored(config: Config, answer: Callable[[torch.Tensor], torch.Tensor]) -> Validation:
    """Validate what `answer` makes of the truth (D, S, S), on two volumes that hold a cavity."""
    side = config.data.canvas
    labels = [np.zeros((depth, side, side), dtype=np.uint8) for depth in DEPTHS]
    for label in labels:
        label[:, 20:40, 30:50] = 1
    images = [label.astype(np.float16) for label in labels]

    def segment(
        slices: torch.Tensor, spacing: tuple[float, float, float], proportions: torch.Tensor | None
    ) -> torch.Tensor:
        assert spacing == (8.0, config.data.spacing_mm, config.data.spacing_mm)
        return answer(slices[:, 1].round().long())

    return validate(
        segment,
        lambda slices, positions: answer(slices[:, 1].round().long()),
        SliceSet(images, labels, True, [8.0, 8.0]),
        config=config,
        labels=LABELS,
        device=torch.device("cpu"),
    )


def logits(classes: torch.Tensor, sharpness: float = 20.0) -> torch.Tensor:
    return sharpness * torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float()


@pytest.fixture
def config(recipe: Callable[..., Config]) -> Callable[..., Config]:
    def make(method: str = "weak_to_strong", **further: Any) -> Config:
        return recipe({"train.method": method, "train.batch": 4, "train.unlabelled_batch": 8, **further})

    return make


def test_the_truth_scores_one(config: Callable[..., Config]) -> None:
    assert scored(config(), logits) == Validation({"cavity": 1.0, "wall": 0.0}, {"cavity": 1.0})


def test_only_confident_pixels_count_for_precision(config: Callable[..., Config]) -> None:
    def confident_about_half(truth: torch.Tensor) -> torch.Tensor:
        wrong = logits(torch.ones_like(truth), sharpness=1.0)
        return torch.where((truth == 1)[:, None], logits(truth), wrong)

    result = scored(config(), confident_about_half)
    assert result.per_class["cavity"] < 0.3
    assert result.precision == {"cavity": 1.0}


def test_without_confident_pixels_there_is_no_precision(config: Callable[..., Config]) -> None:
    assert scored(config(), lambda truth: logits(truth, sharpness=0.1)).precision == {}


def test_what_pcsw_rejects_is_no_pseudo_label_of_sss(config: Callable[..., Config]) -> None:
    def with_a_speck(truth: torch.Tensor) -> torch.Tensor:
        classes = truth.clone()
        classes[2, 2:12, 2:12] = 1
        return logits(classes)

    assert scored(config(), with_a_speck).precision["cavity"] < 1
    assert scored(config("sss"), with_a_speck).precision["cavity"] == 1
    assert scored(config("sss", **{"pcsw.enabled": False}), with_a_speck).precision["cavity"] < 1


def test_a_volume_is_scored_from_its_best_orientation(config: Callable[..., Config]) -> None:
    def is_confident_about_the_lower_half(truth: torch.Tensor) -> torch.Tensor:
        known = truth.clone()
        known[:, : truth.shape[-1] // 2] = 0
        return torch.where((known == truth)[:, None], logits(known), logits(known, sharpness=0.5))

    assert scored(config(), is_confident_about_the_lower_half).per_class["cavity"] == 0
    assert scored(config(**{"predict.orientations": 4}), is_confident_about_the_lower_half).per_class["cavity"] > 0.99


def test_strays_do_not_count_where_predictions_drop_them(config: Callable[..., Config]) -> None:
    def with_a_stray(truth: torch.Tensor) -> torch.Tensor:
        seen = truth.clone()
        seen[0, 2:6, 2:6] = 1
        return logits(seen)

    assert scored(config(), with_a_stray).per_class["cavity"] < 1
    cleaned = scored(config(**{"predict.largest_component": True}), with_a_stray)
    assert cleaned.per_class["cavity"] == 1
    # What is told of pseudo-labels is of those that teach, strays and all.
    assert cleaned.precision["cavity"] < 1
