"""Dice and the precision of pseudo-labels on validation volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sss_model.config import Config
from sss_model.data.slices import SliceSet
from sss_model.training.validation import Validation, validate

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
