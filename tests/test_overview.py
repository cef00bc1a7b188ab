"""The turns of a cohort's scans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sss_model.config import Config
from sss_model.slices import SliceSet
from sss_model.turns import find_turns


def knows_the_upper_half(images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Logits of a network that is sure of what is bright in the upper half, and wavers about the lower one's."""
    upper = torch.arange(images.shape[-2])[:, None] < images.shape[-2] // 2
    foreground = torch.where(images[:, 1] > 0.5, torch.where(upper, 10.0, 0.5), -10.0)
    return torch.stack([-foreground, foreground], 1)


def test_each_scan_has_a_turn_of_its_own(recipe: Callable[..., Config]) -> None:
    config = recipe({"predict.turns": 4})
    side = config.data.canvas
    upright = np.zeros((5, side, side), np.float16)
    upright[:, side // 4 : side // 2 - 4, side // 2 - 4 : side // 2 + 4] = 1
    scans = [np.ascontiguousarray(np.rot90(upright, quarters, axes=(1, 2))) for quarters in (0, 1, 2, 3)]
    slices = SliceSet(scans, None, neighbours=True, distances=[8.0] * 4)
    found = find_turns(knows_the_upper_half, slices, config, torch.device("cpu"))
    assert found == [0, -90, 180, 90]
