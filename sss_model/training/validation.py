"""Dice on the validation patients while training goes on: what the best checkpoint is chosen by.

It is measured on the network's own grid, which is quick; the figures that count are measured on the source grid, after
training, by `sss_model.evaluation.evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.data.preprocessing import centre
from sss_model.data.slices import SliceSet
from sss_model.inference.largest_component import keep_largest_component
from sss_model.inference.orientation import SlicePredictor, rotate, rotated_view
from sss_model.inference.volume_context import volume_context
from sss_model.network.prompts import Prompter
from sss_model.training.losses import pseudo_labels

Segment = Callable[[Tensor, tuple[float, float, float], Tensor | None], Tensor]
"""A volume's slices (D, 3, S, S), its spacing and its proportions, where they are asked for, to class logits (D,
classes, S, S)."""


@dataclass(frozen=True)
class Validation:
    """Mean Dice over volumes, and the precision of what would be pseudo-labels, per foreground class."""

    per_class: dict[str, float]
    precision: dict[str, float] = field(default_factory=dict)

    @property
    def dice(self) -> float:
        return float(np.mean(list(self.per_class.values())))


def validate(
    segment: Segment,
    predict_slices: SlicePredictor,
    slices: SliceSet,
    *,
    config: Config,
    labels: dict[str, int],
    device: torch.device,
) -> Validation:
    """Score predictions for whole volumes, each at its best rotation, as `sss_model.inference.predictor` makes them.

    Args:
        slices: the validation volumes with their labels.
    """
    foreground = {name: index for name, index in labels.items() if index}
    dice: dict[str, list[float]] = {name: [] for name in foreground}
    taught, right = ({name: 0 for name in foreground} for _ in range(2))
    prompter = Prompter(config, foreground=len(foreground))
    for case in range(len(slices.images)):
        indices = slices.case(case)
        canvas = slices.image(indices).to(device)
        truth = centre(slices.label(indices), config.data.size, fill=0).to(device)
        spacing = (slices.distances[case], config.data.spacing_mm, config.data.spacing_mm)
        rotation, proportions = volume_context(predict_slices, canvas, config)
        logits = rotate(segment(rotated_view(canvas, rotation, config.data.size), spacing, proportions), -rotation)
        predicted, teaches = _pseudo(logits, spacing, config, prompter)
        probabilities = logits.softmax(1)
        if config.predict.largest_component:
            probabilities = keep_largest_component(probabilities)
        final = probabilities.argmax(1)
        for name, index in foreground.items():
            segmented, of_class, true = final == index, predicted == index, truth == index
            if sizes := int(segmented.sum() + true.sum()):
                dice[name].append(2 * int((segmented & true).sum()) / sizes)
            taught[name] += int((of_class & teaches).sum())
            right[name] += int((of_class & teaches & true).sum())
    return Validation(
        {name: float(np.mean(scores)) if scores else 0.0 for name, scores in dice.items()},
        {name: right[name] / taught[name] for name in foreground if taught[name]},
    )


def _pseudo(
    logits: Tensor, spacing: tuple[float, float, float], config: Config, prompter: Prompter
) -> tuple[Tensor, Tensor]:
    classes, teaches = pseudo_labels(logits, config.confidence)
    if config.train.method == "sss" and config.pcsw.enabled:
        rows = torch.tensor([spacing]).expand(len(logits), 3)
        teaches = teaches & prompter.plausible(logits, rows, clip=len(logits))
    return classes, teaches
