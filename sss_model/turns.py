"""The turns in which unlabelled scans are learned from, as the teacher finds them during training."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.orientation import best_turn
from sss_model.preprocess import centre
from sss_model.slices import SliceSet
from sss_model.validation import Segment


def find_turns(segment: Segment, slices: SliceSet, config: Config, device: torch.device) -> list[float]:
    """The best turn of each scan, by class logits as `segment` gives them; `Predict.turns` are tried."""
    pixel = config.data.spacing_mm
    found = []
    for case, distance in enumerate(slices.distances):
        images = centre(slices.image(slices.case(case)), config.data.size, fill=0.0).to(device)
        probabilities = partial(_softmax, segment, spacing=(distance, pixel, pixel))
        found.append(best_turn(probabilities, images, config.predict.turns))
    return found


def _softmax(segment: Segment, images: Tensor, spacing: tuple[float, float, float]) -> Tensor:
    return segment(images, spacing).softmax(1)
