"""Test-time augmentation: one prediction from several looks at the same slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sss_model.config import Predict
from sss_model.orientation import rotate, view

_FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))


def average(
    segment: Callable[[Tensor], Tensor],
    canvas: Tensor,
    config: Predict,
    turn: float = 0.0,
    *,
    size: int,
    on_look: Callable[[Tensor], None] = lambda look: None,
) -> Tensor:
    """Mean probabilities (D, classes, S, S) over flipped and rotated views of a volume's slices, each turned back.

    Args:
        segment: views (D, 3, S, S) to class probabilities of the same size.
        canvas: the slices (D, 3, H, H), with more around than a view shows.
        turn: degrees by which the scan is turned beforehand.
        size: S, pixels of a view.
        on_look: called with the probabilities from each view.
    """
    looks = []
    for look in _looks(segment, canvas, config, turn, size):
        on_look(look)
        looks.append(look)
    return torch.stack(looks).mean(0)


def _looks(
    segment: Callable[[Tensor], Tensor], canvas: Tensor, config: Predict, turn: float, size: int
) -> Iterator[Tensor]:
    turned = view(canvas, turn, size)
    for axes in _FLIPS if config.flips else _FLIPS[:1]:
        yield rotate(segment(turned.flip(axes)).flip(axes), -turn)
    for degrees in config.rotations:
        for angle in (turn + degrees, turn - degrees):
            yield rotate(segment(view(canvas, angle, size)), -angle)
