"""The turns in which unlabelled scans are learned from, as the teacher finds them during training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.orientation import best_turn
from sss_model.preprocess import centre
from sss_model.slices import SliceSet


def find_turns(
    glance: Callable[[Tensor], Tensor], slices: SliceSet, config: Config, device: torch.device
) -> list[float]:
    """The best turn in degrees of each scan, by the class logits that `glance` gives of slices."""
    found = []
    for case in range(len(slices.images)):
        images = centre(slices.image(slices.case(case)), config.data.size, fill=0.0).to(device)
        found.append(best_turn(lambda turned: glance(turned).softmax(1), images, config.predict.turns))
    return found
