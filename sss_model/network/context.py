"""What a slice shows as a whole, where in its volume it lies and what that is made of, told to each of its pixels.

Where a volume ends, labels follow rules that a pixel's neighbourhood doesn't show: which slice is the last in which an
organ is drawn, and that it is another one once a heart has contracted. A channel that held a slice's place would be
lost, since instance normalisation takes from every channel its mean over the slice. So places, and the mean of the
deepest features with them, are kept beside the path, as in squeeze-and-excitation (Hu et al., 2018), and steer the
channels, as in FiLM (Perez et al., 2018), and the classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
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
    """Looks at the mean of the deepest features, at the slice's place and, where they are known, at the proportions of
    its volume.

    Args:
        deep: channels of the deepest features.
        fine: of the finest ones.
        classes: background included.
        proportions: whether it looks at them.
    """

    def __init__(self, *, deep: int, fine: int, classes: int, proportions: bool) -> None:
        super().__init__()
        self._widths = [deep, deep, fine]
        # In a sequence, as checkpoints of before proportions call it.
        self.look = nn.Sequential(nn.Linear(deep + WIDTH, _HIDDEN))
        # A row a class, too. It starts at zero, as proportions do that aren't known.
        self.proportions = nn.Parameter(torch.zeros(classes - 1, _HIDDEN)) if proportions else None
        # Apart from the channels' layer, so that its rows are the classes, by which another training may take it over.
        self.channels, self.classes = nn.Linear(_HIDDEN, sum(self._widths)), nn.Linear(_HIDDEN, classes)
        for last in (self.channels, self.classes):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, deepest: Tensor, places: Tensor) -> Told:
        """From the deepest features (B, deep, H, W) and places (B, 3) or (B, 3 + K), see `volume_places`."""
        seen = self.look(torch.cat([deepest.float().mean((2, 3)), places[:, :WIDTH]], 1))
        if self.proportions is not None and places.shape[1] > WIDTH:
            seen = seen + places[:, WIDTH:] @ self.proportions
        seen = F.gelu(seen)
        parts = [*self.channels(seen).split(self._widths, 1), self.classes(seen)]
        return Told(*(part.to(deepest.dtype)[:, :, None, None] for part in parts))
