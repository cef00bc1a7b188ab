"""What a first look at a whole scan tells, each slice by itself: how it lies, and what it is made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.config import Config
from sss_model.data.slice_position import middle_half, volume_places
from sss_model.data.slices import SliceSet
from sss_model.inference.orientation import SlicePredictor, best_turn, view

# What a volume is made of: each structure's share of all that is foreground in the middle half of its slices.
#
# A slice at the end of a volume doesn't show whether a heart has contracted, nor how thick its walls are; the volume
# does. Shares need neither a size nor an orientation, and a first look at the slices, each by itself, tells them well
# enough.


_SPREAD = 2.0  # so that they differ among volumes by about one


def look_at_proportions(predict_slices: SlicePredictor, canvas: Tensor, turn: float, *, size: int) -> Tensor:
    """(K,) proportions of a volume as a network sees it from a turn; see `proportions`.

    Args:
        canvas: its slices (D, C, H, H), in order.
        turn: degrees, for `sss_model.inference.orientation.view`.
        size: pixels of a view.
    """
    depth = len(canvas)
    half = middle_half(depth)
    return proportions(
        predict_slices(view(canvas[half], turn, size), volume_places(depth, canvas.device)[half]).softmax(1)
    )


def labelled_proportions(slices: SliceSet, classes: int) -> Tensor:
    """(cases, K) proportions of labelled cases, by their labels."""
    found = []
    for case in range(len(slices.images)):
        label = slices.label(slices.case(case))
        seen = F.one_hot(label[middle_half(len(label))], classes).movedim(-1, 1)
        found.append(proportions(seen.float()))
    return torch.stack(found)


def proportions(probabilities: Tensor) -> Tensor:
    """(K,) of slices' class probabilities (D, 1 + K, S, S), background first: 0 for a class that makes up its Kth of
    the foreground, -2 for one that is not there; all 0 where nothing is."""
    of_class = probabilities[:, 1:].sum((0, 2, 3))
    whole = of_class.sum()
    return torch.where(whole > 0, _SPREAD * (len(of_class) * of_class / whole.clamp_min(1e-6) - 1), 0.0)


class Overview(NamedTuple):
    """The turn in degrees, for `sss_model.inference.orientation.view`, and the proportions (K,) or None."""

    turn: float
    proportions: Tensor | None


def look_over(predict_slices: SlicePredictor, canvas: Tensor, config: Config) -> Overview:
    """Look at a volume's slices (D, C, H, H)."""
    turn = best_turn(predict_slices, canvas, config.predict.orientations, size=config.data.size)
    return Overview(turn, proportions_from(predict_slices, canvas, turn, config))


def proportions_from(predict_slices: SlicePredictor, canvas: Tensor, turn: float, config: Config) -> Tensor | None:
    """(K,) proportions of a volume seen from a turn; None where the recipe's network isn't told of them."""
    if not config.model.proportions:
        return None
    return look_at_proportions(predict_slices, canvas, turn, size=config.data.size)


def find_turns(predict_slices: SlicePredictor, slices: SliceSet, config: Config, device: torch.device) -> list[float]:
    """The best turn in degrees of each scan."""
    found = []
    for case in range(len(slices.images)):
        canvas = slices.image(slices.case(case)).to(device)
        found.append(best_turn(predict_slices, canvas, config.predict.orientations, size=config.data.size))
    return found


def find_proportions(
    predict_slices: SlicePredictor, slices: SliceSet, turns: list[float] | None, config: Config, device: torch.device
) -> Tensor:
    """(cases, K) proportions on the CPU, each scan turned as `turns` says; None leaves them as they lie."""
    found = []
    for case in range(len(slices.images)):
        canvas, turn = slices.image(slices.case(case)).to(device), turns[case] if turns else 0.0
        found.append(look_at_proportions(predict_slices, canvas, turn, size=config.data.size))
    return torch.stack(found).cpu()
