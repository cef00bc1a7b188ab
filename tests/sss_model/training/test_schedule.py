from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from sss_model.config import Config
from sss_model.errors import InputError
from sss_model.training.schedule import Budget, learning_rate, unlabelled_weight


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
