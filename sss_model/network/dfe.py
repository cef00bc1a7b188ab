"""Discriminative feature enhancement (DFE): what two views of a slice share, and what is each one's own.

The idea, using similarity and dissimilarity of multi-scale features across views to rebuild them, is the paper's
(arXiv 2506.08949); these equations are ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

_EPSILON = 1e-6


class FeatureEnhancement(nn.Module):
    """Adds to a stream's features what it makes of the part shared with its partner and of the part that is its own.

    Per scale, with the cosine similarity c of the two feature vectors at a pixel and a = (1 + c) / 2::

        shared = a (own + partner) / 2        specific = (1 − a) (own − partner)
        enhanced = own + model(shared, specific)

    One model a scale serves every stream: exchanging the streams exchanges the results.
    """

    def __init__(self, *, channels: int, scales: int) -> None:
        super().__init__()
        self.models = nn.ModuleList(_Model(channels) for _ in range(scales))

    def forward(
        self, features: list[Tensor], partners: list[Tensor] | None = None, paired: Tensor | None = None
    ) -> list[Tensor]:
        """Enhance a stream.

        Args:
            features: per scale, (B, channels, H, W).
            partners: the same of the other stream, detached; None pairs a stream with itself: all is shared.
            paired: (B,) booleans: whose partner is used, the others meet themselves; None for all.
        """
        if partners is None:
            return [own + model(own) for model, own in zip(self.models, features, strict=True)]
        if paired is None:
            paired = torch.ones(len(features[0]), dtype=torch.bool, device=features[0].device)
        met = paired.nonzero()[:, 0]
        return [
            own + model(own, (met, other[met]))
            for model, own, other in zip(self.models, features, partners, strict=True)
        ]


def split(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The shared and the specific part of features (B, C, H, W); no gradient passes through their similarity."""
    # It says how much of each part there is; a network that could move it would learn to make all alike or unlike.
    with torch.no_grad():
        alike = ((1 + F.cosine_similarity(own, other, dim=1, eps=_EPSILON)[:, None]) / 2).to(own.dtype)
    return alike * (own + other) / 2, (1 - alike) * (own - other)


class _Model(nn.Module):
    """A bottleneck of 1×1 convolutions whose last layer starts at zero, so that enhancement starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(channels // 2, 8)
        self.reduce = nn.Conv2d(2 * channels, narrow, 1)
        self.restore = nn.Conv2d(narrow, channels, 1)
        nn.init.zeros_(self.restore.weight)
        assert self.restore.bias is not None
        nn.init.zeros_(self.restore.bias)

    def forward(self, own: Tensor, meeting: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """What is added to `own` (B, C, H, W), whose slices meet themselves but for a `meeting`'s: their indices (M,)
        and partners (M, C, H, W)."""
        # Most slices meet themselves: what they have of their own is zero, and half of the work falls away.
        narrow = F.conv2d(own, self.reduce.weight[:, : own.shape[1]], self.reduce.bias)
        if meeting is not None:
            met, partners = meeting
            narrow = narrow.index_copy(0, met, self.reduce(torch.cat(split(own[met], partners), 1)))
        restored: Tensor = self.restore(F.gelu(narrow))
        return restored
