"""Validation: Dice on the validation patients during training, which selects the best weights.

It is measured on the network's own grid, which is fast. The figures to report are measured on the scans' own grid,
after training, by `sss_model.evaluation.evaluate`.
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
from sss_model.network.base import Spacing
from sss_model.network.prompts import Prompter
from sss_model.training.losses import pseudo_labels

VolumeSegmenter = Callable[[Tensor, Spacing, Tensor | None], Tensor]
"""A volume's slices (D, 3, S, S), its spacing, and its proportions (K,) or None, to class logits (D, classes, S, S)."""


@dataclass(frozen=True)
class Validation:
    """Scores by foreground class.

    >>> Validation({"cavity": 0.75, "wall": 0.25}).dice
    0.5
    """

    per_class: dict[str, float]
    """Mean Dice over volumes."""
    precision: dict[str, float] = field(default_factory=dict)
    """Share of the pixels that would be pseudo-labels of a class and are right; no entry where there are none."""

    @property
    def dice(self) -> float:
        """Mean Dice over classes."""
        return float(np.mean(list(self.per_class.values())))


def validate(
    segment: VolumeSegmenter,
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
    kept_pixels, right_pixels = ({name: 0 for name in foreground} for _ in range(2))
    prompter = Prompter(config, foreground=len(foreground))
    for case in range(len(slices.images)):
        indices = slices.case(case)
        canvas = slices.image(indices).to(device)
        truth = centre(slices.label(indices), config.data.size, fill=0).to(device)
        spacing = (slices.distances[case], config.data.spacing_mm, config.data.spacing_mm)
        rotation, proportions = volume_context(predict_slices, canvas, config)
        logits = rotate(segment(rotated_view(canvas, rotation, config.data.size), spacing, proportions), -rotation)
        pseudo, kept = _pseudo_labels(logits, spacing, config, prompter)
        mask = _mask(logits, config)
        for name, index in foreground.items():
            predicted, of_pseudo, true = mask == index, (pseudo == index) & kept, truth == index
            if sizes := int(predicted.sum() + true.sum()):
                dice[name].append(2 * int((predicted & true).sum()) / sizes)
            kept_pixels[name] += int(of_pseudo.sum())
            right_pixels[name] += int((of_pseudo & true).sum())
    return Validation(
        {name: float(np.mean(scores)) if scores else 0.0 for name, scores in dice.items()},
        {name: right_pixels[name] / kept_pixels[name] for name in foreground if kept_pixels[name]},
    )


def _mask(logits: Tensor, config: Config) -> Tensor:
    probabilities = logits.softmax(1)
    if config.predict.largest_component:
        probabilities = keep_largest_component(probabilities)
    return probabilities.argmax(1)


def _pseudo_labels(logits: Tensor, spacing: Spacing, config: Config, prompter: Prompter) -> tuple[Tensor, Tensor]:
    """The pseudo-labels that training would use: classes, and where they count."""
    classes, kept = pseudo_labels(logits, config.confidence)
    if config.train.method == "sss" and config.pcsw.enabled:
        rows = torch.tensor([spacing]).expand(len(logits), 3)
        kept = kept & prompter.plausible(logits, rows, clip=len(logits))
    return classes, kept
