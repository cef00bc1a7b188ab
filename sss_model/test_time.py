"""Test-time augmentation: one prediction from several looks at the same slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.config import Predict

_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))


def average(
    segment: Callable[[Tensor], Tensor],
    images: Tensor,
    config: Predict,
    on_look: Callable[[Tensor], None] = lambda look: None,
) -> Tensor:
    """Mean probabilities (B, classes, S, S) over flipped and rotated copies of slices (B, 3, S, S), each turned back.

    Args:
        segment: slices to class probabilities of the same size.
        on_look: called with the probabilities from each copy.
    """
    looks = []
    for look in _looks(segment, images, config):
        on_look(look)
        looks.append(look)
    return torch.stack(looks).mean(0)


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Turn slices (B, C, S, S) about their centre, S being one side; what comes in from outside repeats the border."""
    angle = math.radians(degrees)
    theta = images.new_tensor([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _looks(segment: Callable[[Tensor], Tensor], images: Tensor, config: Predict) -> Iterator[Tensor]:
    for axes in _FLIPS if config.flips else _FLIPS[:1]:
        yield segment(images.flip(axes)).flip(axes)
    for degrees in config.rotations:
        for angle in (degrees, -degrees):
            yield rotate(segment(rotate(images, angle)), -angle)
