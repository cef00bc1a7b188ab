"""What a volume is made of: each structure's share of all that is foreground in the middle half of its slices.

A slice at the end of a volume doesn't show whether a heart has contracted, nor how thick its walls are; the volume
does. Shares need neither a size nor an orientation, and a first look at the slices, each by itself, tells them well
enough.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.orientation import Glance, view
from sss_model.places import middle_half, volume_places
from sss_model.slices import SliceSet

_SPREAD = 2.0  # so that they differ among volumes by about one


def look_at_proportions(glance: Glance, canvas: Tensor, turn: float, *, size: int) -> Tensor:
    """(K,) proportions of a volume as a network sees it from a turn; see `proportions`.

    Args:
        canvas: its slices (D, C, H, H), in order.
        turn: degrees, for `sss_model.orientation.view`.
        size: pixels of a view.
    """
    depth = len(canvas)
    half = middle_half(depth)
    return proportions(glance(view(canvas[half], turn, size), volume_places(depth, canvas.device)[half]).softmax(1))


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
