"""How a scan lies in its plane, found by the network that is to segment it.

A file may not say how a patient lies in it (ACDC's affines don't), and a few labelled scans lie alike: what lies
otherwise looks strange to the network. Structures are drawn surely where they lie as in the labelled scans, so of
several turns of a scan the one in which the network doubts least is the one to predict from, and to learn from.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.data.preprocessing import centre
from sss_model.data.slice_position import middle_half, volume_places

SlicePredictor = Callable[[Tensor, Tensor], Tensor]
"""Slices (B, C, S, S) and their places (B, 3) to class logits (B, classes, S, S), background first, each slice by
itself."""

_ENOUGH = 0.5  # of the most foreground that any turn shows: to see nothing, for sure, is no orientation
_CLEARLY = 0.8  # of the doubt about a scan as it lies: what a turn must come down to


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Turn slices (B, C, S, S) about their centre, S being one side; what comes in from outside repeats the border."""
    if not degrees:
        return images
    angle = math.radians(degrees)
    theta = images.new_tensor([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def view(canvas: Tensor, degrees: float, size: int) -> Tensor:
    """What a network sees of slices (B, C, H, H) that are turned about their centre: the inner `size` pixels.

    As in the views of training, which are cut from a canvas too, a turned view's corners show what lies there.
    """
    return centre(rotate(canvas, degrees), size, fill=0.0)


def best_turn(predict_slices: SlicePredictor, canvas: Tensor, turns: int, *, size: int) -> float:
    """The turn in degrees, for `view`, in which a network doubts least, if it doubts clearly less than about the scan
    as it lies; else 0. It is shown the middle half of the slices.

    Args:
        canvas: a volume's slices (D, C, H, H), in order.
        turns: how many are tried, evenly over the circle; 1 leaves the scan as it lies.
        size: pixels of a view, at most H.
    """
    if turns == 1:
        return 0.0
    depth = len(canvas)
    half = middle_half(depth)
    middle, places = canvas[half], volume_places(depth, canvas.device)[half]
    seen = {
        degrees: _seen(predict_slices(view(middle, degrees, size), places).softmax(1)) for degrees in _angles(turns)
    }
    most = max(foreground for _, foreground in seen.values())
    doubts = {
        degrees: entropy / max(foreground, 1.0)
        for degrees, (entropy, foreground) in seen.items()
        if foreground >= _ENOUGH * most
    }
    best = min(doubts, key=doubts.__getitem__)
    return best if doubts[best] <= _CLEARLY * doubts.get(0.0, math.inf) else 0.0


def _angles(turns: int) -> list[float]:
    """From 0 on, each in (-180, 180]."""
    return [180 - (180 - 360 * turn / turns) % 360 for turn in range(turns)]


def _seen(probabilities: Tensor) -> tuple[float, float]:
    """The entropy of all pixels in nats, and how many pixels are foreground, as the probabilities expect."""
    entropy = -torch.xlogy(probabilities, probabilities).sum()
    return float(entropy), float((1 - probabilities[:, 0]).sum())
