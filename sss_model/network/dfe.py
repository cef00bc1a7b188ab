"""Discriminative feature enhancement (DFE): the shared and the specific part of two views' features.

The idea, using similarity and dissimilarity of multi-scale features across views to rebuild them, is the paper's
(arXiv 2506.08949); these equations are ours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

_EPSILON = 1e-6


class FeatureEnhancement(nn.Module):
    """Enhances a stream's features by the part shared with a partner and the part specific to the stream.

    Per scale, with the cosine similarity c of the two feature vectors at a pixel and a = (1 + c) / 2::

        shared = a (own + partner) / 2        specific = (1 − a) (own − partner)
        enhanced = own + model(shared, specific)

    One model a scale serves every stream: exchanging the streams exchanges the results. Models start at zero:

    >>> enhancement, own = FeatureEnhancement(channels=8, scales=1), [torch.randn(2, 8, 4, 4)]
    >>> torch.equal(enhancement(own, [torch.randn(2, 8, 4, 4)])[0], own[0])
    True
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
            partners: the same of the other stream, detached; None pairs every slice with itself: all is shared.
            paired: (B,) booleans: slices whose partner is used; the others are paired with themselves. None for all.
        """
        if partners is None:
            return [own + model(own) for model, own in zip(self.models, features, strict=True)]
        if paired is None:
            paired = torch.ones(len(features[0]), dtype=torch.bool, device=features[0].device)
        chosen = paired.nonzero()[:, 0]
        return [
            own + model(own, (chosen, other[chosen]))
            for model, own, other in zip(self.models, features, partners, strict=True)
        ]


def shared_and_specific(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The shared and the specific part of features (B, C, H, W); no gradient passes through their similarity.

    >>> own = torch.ones(1, 2, 1, 1)
    >>> [part.flatten().tolist() for part in shared_and_specific(own, own)]
    [[1.0, 1.0], [0.0, 0.0]]
    >>> [part.flatten().tolist() for part in shared_and_specific(own, -own)]
    [[0.0, 0.0], [2.0, 2.0]]
    """
    # With a gradient, the network could learn to make all features alike or unlike.
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

    def forward(self, own: Tensor, pairs: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The term added to `own` (B, C, H, W); `pairs` are the indices (M,) of slices with a partner, and the partners
        (M, C, H, W)."""
        # Most slices are paired with themselves: their specific part is zero, which saves half of the convolution.
        narrow = F.conv2d(own, self.reduce.weight[:, : own.shape[1]], self.reduce.bias)
        if pairs is not None:
            chosen, partners = pairs
            parts = torch.cat(shared_and_specific(own[chosen], partners), 1)
            narrow = narrow.index_copy(0, chosen, self.reduce(parts))
        restored: Tensor = self.restore(F.gelu(narrow))
        return restored
