"""Positions of slices in their volume, as the feature decoder takes them."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTH = 3
"""Numbers of a slice's position."""


def slice_position(z: Tensor, depth: Tensor) -> Tensor:
    """(B, 3) positions of slices: -1 to 1 from the first slice to the last; 1 for the first, else -1; 1 for the last,
    else -1.

    Args:
        z: (B,) index of each slice in its volume, from 0.
        depth: (B,) number of slices of its volume; a single slice is in the middle.
    """
    last = depth - 1
    along = torch.where(last > 0, 2 * z / last.clamp_min(1) - 1, 0.0)
    return torch.stack([along, *(2.0 * at_end - 1 for at_end in (z == 0, z == last))], 1)


def volume_positions(depth: int, device: torch.device | None = None, proportions: Tensor | None = None) -> Tensor:
    """(depth, 3) positions of all slices of a volume, in order; (depth, 3 + K) with its `proportions` (K,) in each row.

    >>> volume_positions(3)
    tensor([[-1.,  1., -1.],
            [ 0., -1., -1.],
            [ 1., -1.,  1.]])
    """
    z = torch.arange(depth, device=device)
    found = slice_position(z, torch.full_like(z, depth))
    return found if proportions is None else torch.cat([found, proportions.to(found).expand(depth, -1)], 1)


def middle_half(depth: int) -> slice:
    """The middle half of a volume's slices; of one slice, that one."""
    return slice(depth // 4, depth - depth // 4)
