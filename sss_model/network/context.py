"""What a slice shows as a whole and where in its volume it lies, told to each of its pixels.

Where a volume ends, labels follow rules that a pixel's neighbourhood doesn't show: which slice is the last in which an
organ is drawn. A channel that held a slice's place would be lost, since instance normalisation takes from every channel
its mean over the slice. So places, and the mean of the deepest features with them, are kept beside the path, as in
squeeze-and-excitation (Hu et al., 2018), and steer the channels, as in FiLM (Perez et al., 2018), and the classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sss_model.places import WIDTH

_HIDDEN = 64


class Told(NamedTuple):
    """Per slice, what to do with its features; all zero at the start, which changes nothing."""

    scale: Tensor
    """(B, deep, 1, 1), by how much more than once the deepest features count."""
    shift: Tensor
    """(B, deep, 1, 1), added to them."""
    gain: Tensor
    """(B, fine, 1, 1), by how much more than once the finest features count."""
    bias: Tensor
    """(B, classes, 1, 1), added to the logits."""


class SliceContext(nn.Module):
    """Looks at the mean of the deepest features, and at the slice's place.

    Args:
        deep: channels of the deepest features.
        fine: of the finest ones.
        classes: background included.
    """

    def __init__(self, *, deep: int, fine: int, classes: int) -> None:
        super().__init__()
        self._widths = [deep, deep, fine]
        self.look = nn.Sequential(nn.Linear(deep + WIDTH, _HIDDEN), nn.GELU())
        # Apart from the channels' layer, so that its rows are the classes, by which another training may take it over.
        self.channels, self.classes = nn.Linear(_HIDDEN, sum(self._widths)), nn.Linear(_HIDDEN, classes)
        for last in (self.channels, self.classes):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, deepest: Tensor, places: Tensor) -> Told:
        """From the deepest features (B, deep, H, W) and places (B, 3), those of `sss_model.places`."""
        seen = self.look(torch.cat([deepest.float().mean((2, 3)), places], 1))
        parts = [*self.channels(seen).split(self._widths, 1), self.classes(seen)]
        return Told(*(part.to(deepest.dtype)[:, :, None, None] for part in parts))
