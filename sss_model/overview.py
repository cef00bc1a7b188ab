"""The turns in which unlabelled scans are learned from, as the teacher finds them during training."""

from __future__ import annotations

import torch

from sss_model.config import Config
from sss_model.orientation import Glance, best_turn
from sss_model.preprocess import centre
from sss_model.slices import SliceSet


def find_turns(glance: Glance, slices: SliceSet, config: Config, device: torch.device) -> list[float]:
    """The best turn in degrees of each scan."""
    found = []
    for case in range(len(slices.images)):
        images = centre(slices.image(slices.case(case)), config.data.size, fill=0.0).to(device)
        found.append(best_turn(glance, images, config.predict.turns))
    return found
