"""Test-time augmentation: one prediction from several looks at the same slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sss_model.config import Predict
from sss_model.orientation import rotate

_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))


def average(
    segment: Callable[[Tensor], Tensor],
    images: Tensor,
    config: Predict,
    turn: float = 0.0,
    on_look: Callable[[Tensor], None] = lambda look: None,
) -> Tensor:
    """Mean probabilities (D, classes, S, S) over flipped and rotated copies of a volume's slices (D, 3, S, S), each
    turned back.

    Args:
        segment: slices to class probabilities of the same size.
        turn: degrees by which the scan is turned beforehand.
        on_look: called with the probabilities from each copy.
    """
    looks = []
    for look in _looks(segment, images, config, turn):
        on_look(look)
        looks.append(look)
    return torch.stack(looks).mean(0)


def _looks(segment: Callable[[Tensor], Tensor], images: Tensor, config: Predict, turn: float) -> Iterator[Tensor]:
    turned = rotate(images, turn)
    for axes in _FLIPS if config.flips else _FLIPS[:1]:
        yield rotate(segment(turned.flip(axes)).flip(axes), -turn)
    for degrees in config.rotations:
        for angle in (turn + degrees, turn - degrees):
            yield rotate(segment(rotate(images, angle)), -angle)
