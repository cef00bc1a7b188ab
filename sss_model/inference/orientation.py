"""In-plane orientation of a scan, found by the network that segments it.

Headers may not tell how a patient lies (ACDC's affines don't), and the few labelled scans mostly lie alike. A network
is most confident about scans oriented as those it learned from, so of several rotations the one with the lowest entropy
is used for prediction and for pseudo-labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.data.preprocessing import centre
from sss_model.data.slice_position import middle_half, volume_positions

SlicePredictor = Callable[[Tensor, Tensor], Tensor]
"""Slices (B, C, S, S) and their positions (B, 3) to class logits (B, classes, S, S), background first, each slice by
itself."""

_MIN_FOREGROUND = 0.5
"""Share of the most foreground at any rotation below which a rotation is not considered: it finds nothing."""
_MAX_ENTROPY = 0.8
"""Share of the entropy of the scan as it is stored that a rotation must come down to."""


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Rotate square slices (B, C, S, S) about their centre; the border is repeated outside.

    >>> image = torch.arange(4.0).view(1, 1, 2, 2)
    >>> rotate(image, 180).round().squeeze().tolist()
    [[3.0, 2.0], [1.0, 0.0]]
    """
    if not degrees:
        return images
    angle = math.radians(degrees)
    theta = images.new_tensor([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def rotated_view(canvas: Tensor, degrees: float, size: int) -> Tensor:
    """Rotate slices (B, C, H, H) about their centre and crop the inner `size` pixels.

    As the canvas is larger than the view, the corners of a rotated view show the scan, as in training.
    """
    return centre(rotate(canvas, degrees), size, fill=0.0)


def best_rotation(predict_slices: SlicePredictor, canvas: Tensor, orientations: int, *, size: int) -> float:
    """Find the rotation in degrees, for `rotated_view`, at which the network is most confident.

    Only the middle half of the slices is predicted. The measure is the entropy per expected foreground pixel; it must
    be clearly lower than at 0 degrees, otherwise the scan stays as it is stored.

    >>> def upright(images, positions):  # a network that is confident about bright upper halves
    ...     upper = images[:, :, : images.shape[-1] // 2].mean((1, 2, 3)) > 0.5
    ...     logit = torch.where(upper, 9.0, 0.1).view(-1, 1, 1, 1).expand(-1, 1, *images.shape[2:])
    ...     return torch.cat([torch.zeros_like(logit), logit], 1)
    >>> canvas = torch.zeros(4, 1, 16, 16)
    >>> canvas[..., 8:, :] = 1
    >>> best_rotation(upright, canvas, 4, size=16)
    180.0

    Args:
        canvas: the slices of a volume (D, C, H, H), in order.
        orientations: how many rotations are tried, evenly over the circle; 1 keeps the scan as it is stored.
        size: pixels of a view, at most H.
    """
    if orientations == 1:
        return 0.0
    depth = len(canvas)
    half = middle_half(depth)
    middle, positions = canvas[half], volume_positions(depth, canvas.device)[half]
    measured = {
        degrees: _entropy_and_foreground(predict_slices(rotated_view(middle, degrees, size), positions).softmax(1))
        for degrees in _angles(orientations)
    }
    most = max(foreground for _, foreground in measured.values())
    entropies = {
        degrees: entropy / max(foreground, 1.0)
        for degrees, (entropy, foreground) in measured.items()
        if foreground >= _MIN_FOREGROUND * most
    }
    best = min(entropies, key=entropies.__getitem__)
    return best if entropies[best] <= _MAX_ENTROPY * entropies.get(0.0, math.inf) else 0.0


def _angles(orientations: int) -> list[float]:
    """From 0 on, each in (-180, 180]."""
    return [180 - (180 - 360 * number / orientations) % 360 for number in range(orientations)]


def _entropy_and_foreground(probabilities: Tensor) -> tuple[float, float]:
    """Entropy of all pixels in nats, and the expected number of foreground pixels."""
    entropy = -torch.xlogy(probabilities, probabilities).sum()
    return float(entropy), float((1 - probabilities[:, 0]).sum())
