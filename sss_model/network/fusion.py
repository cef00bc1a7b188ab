"""Where the memory decoder's binary masks join the feature decoder's class logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class Masks(NamedTuple):
    """What the memory decoder says of B slices and K foreground classes.

    Attributes:
        logits: (B, K, S/4, S/4), binary.
        iou: (B, K) predicted quality.
        heard: (B, K) booleans: a prompt in this slice, or in one visited before, has said where the class is.
    """

    logits: Tensor
    iou: Tensor
    heard: Tensor


def fuse(coarse: Tensor, masks: Masks, gate: Tensor) -> Tensor:
    """Class logits (B, K + 1, S, S): each class's mask, weighted by its gate, is added to it, zero to background.

    Args:
        coarse: (B, K + 1, S, S) class logits of the feature decoder; alone where a class was never prompted.
        gate: (K,).
    """
    logits = masks.logits.float() * (gate * masks.heard)[:, :, None, None]
    added = F.interpolate(logits, coarse.shape[-2:], mode="bilinear", align_corners=False)
    return coarse + torch.cat([torch.zeros_like(added[:, :1]), added], 1)
