"""Weak and strong views of a batch, computed on batched tensors on their device.

A weak view moves a slice (flip, rotation, zoom, shift, and local zoom in one spot). Strong views are made from the
weak one and only recolour it or paste into it, so that all views of a slice stay aligned pixel by pixel. Every sample's
draw depends on (seed, step, stream, its position in the global batch) alone: neither a resumed run nor the number of
processes changes it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.config import Data, Views

# The spot of local zoom, in halves of a view: its largest distance from the middle, and its standard deviation.
_SPOT_WITHIN, _SMALLEST_SPOT, _LARGEST_SPOT = 0.35, 0.15, 0.45


class ViewDraw(NamedTuple):
    """The random numbers of one batch: uniform(0, 1) ones, and a seed a sample for its noise."""

    uniform: Tensor
    """(B, 21)."""
    noise_seeds: list[int]

    def of_clips(self, clip: int) -> ViewDraw:
        """The same, but all slices of a clip share the numbers of its first one."""
        return ViewDraw(self.uniform[::clip].repeat_interleave(clip, 0), self.noise_seeds)


def draw_views(*, seed: int, stream: int, step: int, batch: int, rank: int = 0, world: int = 1) -> ViewDraw:
    """This process's share of the step's draw; `batch` is the size of the share."""
    generator = np.random.default_rng([seed, stream, step])
    share = slice(rank * batch, (rank + 1) * batch)
    uniform = generator.random((world * batch, 17), dtype=np.float32)[share]
    seeds = generator.integers(2**62, size=world * batch)[share]
    # Drawn last, so that recipes without local zoom keep their draws.
    further = generator.random((world * batch, 4), dtype=np.float32)[share]
    return ViewDraw(torch.from_numpy(np.concatenate([uniform, further], 1)), [int(value) for value in seeds])


def draw_noise(draw: ViewDraw, size: int) -> Tensor:
    """Standard normal noise (B, 3, size, size), drawn on the CPU, so that a GPU sees the same."""
    generator = torch.Generator()
    return torch.stack([torch.randn(3, size, size, generator=generator.manual_seed(seed)) for seed in draw.noise_seeds])


def weak_grid(draw: ViewDraw, config: Views, *, data: Data, rotations: Tensor | None = None) -> Tensor:
    """Sampling grid (B, size, size, 2) that cuts a randomly moved window of `data.size` pixels out of a canvas.

    Args:
        rotations: (B,) degrees by which each slice is rotated beforehand; None rotates none.
    """
    u = draw.uniform
    degrees = (2 * u[:, 0] - 1) * config.rotation_degrees
    angle = (degrees if rotations is None else degrees + rotations) * torch.pi / 180
    zoom = zooms(draw, config)
    flip = torch.where(u[:, 2:4] < 0.5, -1.0, 1.0) if config.flips else torch.ones_like(u[:, 2:4])
    shift = (2 * u[:, 4:6] - 1) * config.shift * 2
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    linear = rotation * zoom[:, None, None] * flip[:, None, :]
    theta = torch.cat([linear, shift[:, :, None]], 2) * (data.size / data.canvas)
    shape = [len(u), 1, data.size, data.size]
    if not config.local_zoom:
        return F.affine_grid(theta, shape, align_corners=False)
    view = F.affine_grid(torch.eye(2, 3, device=u.device).expand_as(theta), shape, align_corners=False)
    points = _zoom_locally(view, draw, config)
    return points @ theta[:, None, :, :2].mT + theta[:, None, None, :, 2]


def _zoom_locally(points: Tensor, draw: ViewDraw, config: Views) -> Tensor:
    """Points (B, S, S, 2) of a view, from -1 to 1, moved away from the middle of a spot in it or towards it.

    The image shrinks or grows there, as a heart does between its phases. The map is one to one: nothing folds.
    """
    u = draw.uniform[:, None, None, 17:21]
    middle = (2 * u[..., :2] - 1) * _SPOT_WITHIN
    radius = _SMALLEST_SPOT + (_LARGEST_SPOT - _SMALLEST_SPOT) * u[..., 2:3]
    away = points - middle
    near = (-away.square().sum(-1, keepdim=True) / (2 * radius.square())).exp()
    return points + (2 * u[..., 3:] - 1) * config.local_zoom * near * away


def zooms(draw: ViewDraw, config: Views) -> Tensor:
    """(B,) by how much the weak view enlarges a pixel's side in mm."""
    return (1 - config.scale) ** (2 * draw.uniform[:, 1] - 1)


def move_images(images: Tensor, grid: Tensor) -> Tensor:
    """Weak views (B, C, S, S) of canvases (B, C, H, W)."""
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def move_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """Class indices (B, S, S) at the pixels of `move_images`, from (B, H, W)."""
    moved = F.grid_sample(labels[:, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved[:, 0].long()


def recolour(images: Tensor, noise: Tensor, draw: ViewDraw, config: Views) -> Tensor:
    """Change contrast, brightness, gamma, sharpness and noise of each slice; its geometry stays.

    Args:
        images: (B, C, S, S), standardised intensities.
        noise: of the same shape, from `draw_noise`.
    """
    u = draw.uniform[:, 6:12, None, None, None]
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    span = (high - low).clamp_min(1e-6)
    x = ((images - low) / span).pow((1 - config.gamma) ** (2 * u[:, 0] - 1)) * span + low
    x = torch.lerp(x, _blur(x), u[:, 1] * (u[:, 2] < 0.5))
    x = x * (1 - config.contrast) ** (2 * u[:, 3] - 1) + (2 * u[:, 4] - 1) * config.brightness
    return x + noise * (u[:, 5] * config.noise)


def _blur(x: Tensor) -> Tensor:
    return _smooth(_smooth(F.pad(x, (2, 2, 2, 2), mode="replicate"), 2), 3)


def _smooth(x: Tensor, axis: int) -> Tensor:
    """The weights 1, 4, 6, 4 and 1 sixteenths along an axis, which loses two at either end."""
    # Sums of shifted views: a convolution with so small a kernel takes several times as long on a CPU.
    left, near_left, middle, near_right, right = (x.narrow(axis, shift, x.shape[axis] - 4) for shift in range(5))
    return (left + right) / 16 + (near_left + near_right) / 4 + middle * 3 / 8
