"""Where slices lie in their volume."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTH = 3
"""Numbers that tell a slice's place."""


def places(z: Tensor, depth: Tensor) -> Tensor:
    """(B, 3) places of slices: -1 to 1 from the first slice to the last; 1 for the first, else -1; 1 for the last, else
    -1.

    Args:
        z: (B,) which slice of its volume each is, from 0.
        depth: (B,) how many slices its volume has; the only one of its volume is in the middle.
    """
    last = depth - 1
    along = torch.where(last > 0, 2 * z / last.clamp_min(1) - 1, 0.0)
    return torch.stack([along, *(2.0 * at_end - 1 for at_end in (z == 0, z == last))], 1)


def volume_places(depth: int, device: torch.device | None = None, proportions: Tensor | None = None) -> Tensor:
    """(depth, 3) places of all slices of a volume, in order; with its `proportions` (K,) beside each (depth, 3 + K)."""
    z = torch.arange(depth, device=device)
    found = places(z, torch.full_like(z, depth))
    return found if proportions is None else torch.cat([found, proportions.to(found).expand(depth, -1)], 1)


def middle_half(depth: int) -> slice:
    """The slices of a volume that lie in its middle half; of one slice, that one."""
    return slice(depth // 4, depth - depth // 4)
