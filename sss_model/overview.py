"""What a first look at a whole scan tells, each slice by itself: how it lies, and what it is made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.orientation import Glance, best_turn
from sss_model.proportions import look_at_proportions
from sss_model.slices import SliceSet


class Overview(NamedTuple):
    """The turn in degrees, for `sss_model.orientation.view`, and the proportions (K,); None where nobody asks."""

    turn: float
    proportions: Tensor | None


def look_over(glance: Glance, canvas: Tensor, config: Config) -> Overview:
    """Look at a volume's slices (D, C, H, H)."""
    turn = best_turn(glance, canvas, config.predict.turns, size=config.data.size)
    return Overview(turn, proportions_from(glance, canvas, turn, config))


def proportions_from(glance: Glance, canvas: Tensor, turn: float, config: Config) -> Tensor | None:
    """(K,) proportions of a volume seen from a turn; None where the recipe's network isn't told of them."""
    if not config.model.proportions:
        return None
    return look_at_proportions(glance, canvas, turn, size=config.data.size)


def find_turns(glance: Glance, slices: SliceSet, config: Config, device: torch.device) -> list[float]:
    """The best turn in degrees of each scan."""
    found = []
    for case in range(len(slices.images)):
        canvas = slices.image(slices.case(case)).to(device)
        found.append(best_turn(glance, canvas, config.predict.turns, size=config.data.size))
    return found


def find_proportions(
    glance: Glance, slices: SliceSet, turns: list[float] | None, config: Config, device: torch.device
) -> Tensor:
    """(cases, K) proportions on the CPU, each scan turned as `turns` says; None leaves them as they lie."""
    found = []
    for case in range(len(slices.images)):
        canvas, turn = slices.image(slices.case(case)).to(device), turns[case] if turns else 0.0
        found.append(look_at_proportions(glance, canvas, turn, size=config.data.size))
    return torch.stack(found).cpu()
