"""From a volume to the slices a network sees, and from its answer back to the volume's grid.

As nnU-Net does, slices are resampled in-plane to one spacing and cut to a fixed field of view, never squeezed into a
square; the distance between slices stays as it is.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.config import Data
from sss_model.io.volumes import Volume


def image_slices(volume: Volume, config: Data, side: int) -> np.ndarray:
    """Centred slices at `config.spacing_mm`, standardised; outside the scan is its minimum.

    Returns:
        (D, side, side) float32; with `config.colour` (D, 3, side, side).
    """
    array = _channels(volume) if config.colour else slices_first(volume)[:, None]
    array = in_window(array, config.window) if config.window else standardise(array, config.clip_percentiles)
    planes = torch.from_numpy(array)
    resampled = F.interpolate(planes, _target(volume, config), mode="bilinear", align_corners=False, antialias=True)
    slices = centre(resampled, side, fill=float(array.min())).numpy()
    return slices if config.colour else slices[:, 0]


def label_slices(volume: Volume, config: Data, side: int, classes: int) -> np.ndarray:
    """Class indices (D, side, side) uint8 on the grid of `image_slices`; outside the scan is background."""
    planes = torch.from_numpy(slices_first(volume).astype(np.int64))
    soft = F.one_hot(planes, classes).permute(0, 3, 1, 2).float()
    resampled = F.interpolate(soft, _target(volume, config), mode="bilinear", align_corners=False, antialias=True)
    return centre(resampled.argmax(1).to(torch.uint8), side, fill=0).numpy()


def restore(probabilities: Tensor, volume: Volume, config: Data) -> np.ndarray:
    """Lay class probabilities back onto the volume's grid: class indices, as those of `restore_with_confidence`."""
    return restore_with_confidence(probabilities, volume, config)[0]


def restore_with_confidence(probabilities: Tensor, volume: Volume, config: Data) -> tuple[np.ndarray, np.ndarray]:
    """Lay class probabilities back onto the volume's grid.

    Args:
        probabilities: (D, classes, S, S), background first, on the grid of `image_slices`.
        volume: the volume they were predicted from.

    Returns:
        Class indices, uint8, and the probability of that class, float32, of the volume's shape; what lies outside the
        field of view is background, for certain.
    """
    _, height, width = slices_first(volume).shape
    mask = np.empty((len(probabilities), height, width), dtype=np.uint8)
    confidence = np.empty(mask.shape, dtype=np.float32)
    for index, one in enumerate(probabilities.float()):
        background, *foreground = one
        plane = torch.stack(
            [_uncentre(background, _target(volume, config), fill=1.0)]
            + [_uncentre(part, _target(volume, config), fill=0.0) for part in foreground]
        )
        full = F.interpolate(plane[None], (height, width), mode="bilinear", align_corners=False)
        highest = full[0].max(0)
        mask[index], confidence[index] = highest.indices.numpy(), highest.values.numpy()
    return _slices_back(mask, volume), _slices_back(confidence, volume)


def seen_voxels(volume: Volume, config: Data) -> int:
    """How many pixels all of a volume's slices have on their way to the network, where they are most."""
    height, width = _target(volume, config)
    return volume.array.shape[volume.slice_axis] * max(height * width, config.canvas**2)


def slices_first(volume: Volume) -> np.ndarray:
    """The volume's voxels as (D, H, W), its slice axis first."""
    return np.ascontiguousarray(np.moveaxis(volume.array, volume.slice_axis, 0))


def _slices_back(array: np.ndarray, volume: Volume) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, 0, volume.slice_axis))


def standardise(array: np.ndarray, clip_percentiles: tuple[float, float]) -> np.ndarray:
    """Clip to the volume's own percentiles, then shift and scale to mean 0 and standard deviation 1, float32."""
    low, high = (float(value) for value in np.percentile(array, clip_percentiles))
    clipped = np.clip(array.astype(np.float32), low, high)
    return (clipped - clipped.mean()) / max(float(clipped.std()), 1e-6)


def in_window(array: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Clip to a window of Hounsfield units, then scale it to −2 … 2, float32: a unit means the same in every scan."""
    low, high = window
    clipped = np.clip(array.astype(np.float32), low, high)
    return (clipped - np.float32((low + high) / 2)) / np.float32((high - low) / 4)


def centre(planes: Tensor, side: int, *, fill: float) -> Tensor:
    """Crop or pad the last two axes of (…, H, W) to `side`, keeping the middle."""
    top, bottom = _margins(planes.shape[-2], side)
    left, right = _margins(planes.shape[-1], side)
    return F.pad(planes, (left, right, top, bottom), value=fill)


def _channels(volume: Volume) -> np.ndarray:
    """(D, 3, H, W) float32: red, green and blue, or three times the grey of a scan without colour."""
    if volume.colour is None:
        return np.repeat(slices_first(volume)[:, None], 3, axis=1)
    planes = np.moveaxis(volume.colour, (volume.slice_axis, 3), (0, 1))
    return np.ascontiguousarray(planes)


def _uncentre(plane: Tensor, target: tuple[int, int], *, fill: float) -> Tensor:
    top, bottom = _margins(target[0], plane.shape[-2])
    left, right = _margins(target[1], plane.shape[-1])
    return F.pad(plane, (-left, -right, -top, -bottom), value=fill)


def _margins(length: int, side: int) -> tuple[int, int]:
    before = (side - length) // 2
    return before, side - length - before


def _target(volume: Volume, config: Data) -> tuple[int, int]:
    shape = [size for axis, size in enumerate(volume.array.shape) if axis != volume.slice_axis]
    spacing = [mm for axis, mm in enumerate(volume.spacing) if axis != volume.slice_axis]
    height, width = (max(1, round(n * mm / config.spacing_mm)) for n, mm in zip(shape, spacing, strict=True))
    return height, width
