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
        enhanced = own + model([shared, specific])

    `model` is a bottleneck of 1×1 convolutions whose last layer starts at zero, so that all of it starts as the
    identity. One model a scale serves every stream: exchanging the streams exchanges the results.
    """

    def __init__(self, *, channels: int, scales: int) -> None:
        super().__init__()
        self.models = nn.ModuleList(_bottleneck(channels) for _ in range(scales))

    def forward(self, features: list[Tensor], partners: list[Tensor] | None = None) -> list[Tensor]:
        """Enhance a stream.

        Args:
            features: per scale, (B, channels, H, W).
            partners: the same of the other stream, detached; None pairs a stream with itself, whose specific part is
                empty.
        """
        return [
            own + model(torch.cat(split(own, other), 1))
            for model, own, other in zip(self.models, features, partners or features, strict=True)
        ]


def split(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The shared and the specific part of features (B, C, H, W)."""
    alike = (1 + F.cosine_similarity(own, other, dim=1, eps=_EPSILON)[:, None]) / 2
    return alike * (own + other) / 2, (1 - alike) * (own - other)


def _bottleneck(channels: int) -> nn.Sequential:
    narrow = max(channels // 2, 8)
    model = nn.Sequential(nn.Conv2d(2 * channels, narrow, 1), nn.GELU(), nn.Conv2d(narrow, channels, 1))
    last = model[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return model
