"""Dice on the validation patients while training goes on: what the best checkpoint is chosen by.

It is measured on the network's own grid, which is quick; the figures that count are measured on the source grid, after
training, by `sss_model.evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.preprocess import centre
from sss_model.slices import SliceSet


@dataclass(frozen=True)
class Validation:
    """Mean Dice over volumes, per foreground class and over classes."""

    per_class: dict[str, float]

    @property
    def dice(self) -> float:
        return float(np.mean(list(self.per_class.values())))


def validate(
    teach: Callable[[Tensor], Tensor], slices: SliceSet, *, config: Config, labels: dict[str, int], device: torch.device
) -> Validation:
    """Score predictions for whole volumes.

    Args:
        teach: slices (B, 3, S, S) to logits (B, classes, S, S).
        slices: the validation volumes with their labels.
    """
    size, batch = config.data.size, config.predict.batch
    predicted, truth = [], []
    for start in range(0, len(slices), batch):
        indices = np.arange(start, min(start + batch, len(slices)))
        images = centre(slices.image(indices), size, fill=0.0).to(device)
        predicted.append(teach(images).argmax(1).cpu().numpy())
        truth.append(centre(slices.label(indices), size, fill=0).numpy())
    depths = np.cumsum([len(volume) for volume in slices.images])[:-1]
    volumes = list(
        zip(np.split(np.concatenate(predicted), depths), np.split(np.concatenate(truth), depths), strict=True)
    )
    foreground = [(name, index) for name, index in labels.items() if index]
    return Validation({name: _mean_dice(volumes, index) for name, index in foreground})


def _mean_dice(volumes: list[tuple[np.ndarray, np.ndarray]], index: int) -> float:
    scores = [
        2 * np.sum((p == index) & (t == index)) / sizes
        for p, t in volumes
        if (sizes := np.sum(p == index) + np.sum(t == index))
    ]
    return float(np.mean(scores)) if scores else 0.0
