"""Prompts as SAM-2's prompt encoder takes them: per slice and class some components, each a point, a box and a mask."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE, NOTHING = 1, 2, 3, -1  # the labels that SAM gives to coordinates
STRIDE = 4  # pixels of a slice a cell of a mask prompt
_LOGIT = 10.0


class PromptBatch(NamedTuple):
    """Up to M prompts for each of K classes in each of B slices.

    Attributes:
        points: (B, K, M, 3, 2) x and y in pixels of a point inside, of the box's corner and of the opposite one.
        labels: (B, K, M, 3) what SAM calls them; all `NOTHING` where there is no prompt. Prompts come first.
        masks: (B, K, M, S/4, S/4) share of each cell that the component covers.
    """

    points: Tensor
    labels: Tensor
    masks: Tensor

    @property
    def used(self) -> Tensor:
        """(B, K, M) booleans: where there is a prompt."""
        return self.labels[..., 0] != NOTHING

    def without(self, slices: Tensor) -> PromptBatch:
        """The same prompts, but none in some slices (B,)."""
        labels = torch.where(slices[:, None, None, None], NOTHING, self.labels)
        return PromptBatch(self.points, labels, self.masks)

    def at(self, slices: Tensor) -> PromptBatch:
        """The prompts of some slices, given by their positions."""
        return PromptBatch(*(field[slices] for field in self))


def encode_prompts(encoder: Any, prompts: PromptBatch, chosen: Tensor, *, size: int) -> tuple[Tensor, Tensor]:
    """Embed prompts.

    Args:
        encoder: SAM-2's prompt encoder.
        chosen: (P,) positions in the flattened (B, K, M); what is no prompt there says so to the mask decoder.
        size: side of a slice in pixels.

    Returns:
        Sparse (P, 4, channels) and dense (P, channels, S/16, S/16) embeddings.
    """
    encoder.input_image_size = (size, size)
    encoder.image_embedding_size = (size // 16, size // 16)
    points, labels, masks = (field.flatten(0, 2)[chosen] for field in prompts)
    sparse, without = encoder(points=(points, labels), boxes=None, masks=None)
    _, dense = encoder(points=None, boxes=None, masks=(2 * masks[:, None] - 1) * _LOGIT)
    return sparse, torch.where((labels[:, :1] != NOTHING)[:, :, None, None], dense, without.to(dense.dtype))


def cover(components: Tensor) -> Tensor:
    """Share of each cell that components (…, S, S), true inside, cover: (…, S/4, S/4) float32."""
    flat = components.flatten(0, -3)[:, None].float()
    return F.avg_pool2d(flat, STRIDE).view(*components.shape[:-2], *(side // STRIDE for side in components.shape[-2:]))
