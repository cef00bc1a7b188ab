"""In-plane rotation and proportions of structures, estimated from a whole volume for each of its slices.

A slice at the end of a heart does not show whether the heart has contracted or how thick its walls are; the volume
does. Proportions, the share of each structure in all foreground of the middle half of the slices, need neither a size
nor an orientation, and per-slice predictions estimate them well enough.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.config import Config
from sss_model.data.slice_position import middle_half, volume_positions
from sss_model.data.slices import SliceSet
from sss_model.inference.orientation import SlicePredictor, best_rotation, rotated_view

_SPREAD = 2.0
"""Scale at which proportions differ among volumes by about one."""


class VolumeContext(NamedTuple):
    """The rotation in degrees, for `sss_model.inference.orientation.rotated_view`, and the proportions (K,) or None."""

    rotation: float
    proportions: Tensor | None


def volume_context(predict_slices: SlicePredictor, canvas: Tensor, config: Config) -> VolumeContext:
    """Find the context of a volume from its slices (D, C, H, H)."""
    rotation = best_rotation(predict_slices, canvas, config.predict.orientations, size=config.data.size)
    return VolumeContext(rotation, proportions_for(predict_slices, canvas, rotation, config))


def proportions_for(predict_slices: SlicePredictor, canvas: Tensor, rotation: float, config: Config) -> Tensor | None:
    """(K,) predicted proportions of a rotated volume; None where the network of the recipe does not use them."""
    if not config.model.proportions:
        return None
    return predicted_proportions(predict_slices, canvas, rotation, size=config.data.size)


def predicted_proportions(predict_slices: SlicePredictor, canvas: Tensor, rotation: float, *, size: int) -> Tensor:
    """(K,) proportions of a volume as a network predicts them at a rotation; see `proportions`.

    Args:
        canvas: its slices (D, C, H, H), in order.
        rotation: degrees, for `sss_model.inference.orientation.rotated_view`.
        size: pixels of a view.
    """
    depth = len(canvas)
    half = middle_half(depth)
    images, positions = rotated_view(canvas[half], rotation, size), volume_positions(depth, canvas.device)[half]
    return proportions(predict_slices(images, positions).softmax(1))


def labelled_proportions(slices: SliceSet, classes: int) -> Tensor:
    """(cases, K) proportions of labelled cases, from their labels."""
    found = []
    for case in range(len(slices.images)):
        label = slices.label(slices.case(case))
        middle = F.one_hot(label[middle_half(len(label))], classes).movedim(-1, 1)
        found.append(proportions(middle.float()))
    return torch.stack(found)


def proportions(probabilities: Tensor) -> Tensor:
    """Proportions (K,) from class probabilities (D, 1 + K, S, S), background first.

    0 for a class that is a Kth of the foreground, -2 for one that is missing; all 0 where there is no foreground.

    >>> probabilities = torch.zeros(1, 3, 2, 2)
    >>> probabilities[:, 1] = 1
    >>> proportions(probabilities)
    tensor([ 2., -2.])
    """
    of_class = probabilities[:, 1:].sum((0, 2, 3))
    whole = of_class.sum()
    return torch.where(whole > 0, _SPREAD * (len(of_class) * of_class / whole.clamp_min(1e-6) - 1), 0.0)


def best_rotations(
    predict_slices: SlicePredictor, slices: SliceSet, config: Config, device: torch.device
) -> list[float]:
    """The best rotation of each scan, in degrees."""
    found = []
    for case in range(len(slices.images)):
        canvas = slices.image(slices.case(case)).to(device)
        found.append(best_rotation(predict_slices, canvas, config.predict.orientations, size=config.data.size))
    return found


def all_predicted_proportions(
    predict_slices: SlicePredictor,
    slices: SliceSet,
    rotations: list[float] | None,
    config: Config,
    device: torch.device,
) -> Tensor:
    """(cases, K) predicted proportions on the CPU; `rotations` are degrees per case, None for scans as stored."""
    found = []
    for case in range(len(slices.images)):
        canvas, rotation = slices.image(slices.case(case)).to(device), rotations[case] if rotations else 0.0
        found.append(predicted_proportions(predict_slices, canvas, rotation, size=config.data.size))
    return torch.stack(found).cpu()
