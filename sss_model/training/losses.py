"""Losses of a batch.

Every mean and every Dice is over the global batch: numerators and denominators are summed over processes first, so that
two processes learn what one process with twice the batch learns.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.network.base import MemoryMasks

_SMOOTH = 1e-5


def segmentation_loss(logits: Tensor, target: Tensor, keep: Tensor | None = None) -> Tensor:
    """Cross-entropy plus Dice.

    Args:
        logits: (B, classes, S, S).
        target: (B, S, S) class indices.
        keep: (B, S, S) booleans; where false, a pixel counts in neither term. None keeps all.

    Returns:
        A scalar; 0 where nothing is kept.
    """
    kept = torch.ones_like(target, dtype=torch.bool) if keep is None else keep
    return cross_entropy(logits, target, kept) + _dice_loss(logits.softmax(1), target, kept)


def cross_entropy(logits: Tensor, target: Tensor, keep: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the pixels that are kept; arguments as for `segmentation_loss`."""
    kept = torch.ones_like(target, dtype=torch.bool) if keep is None else keep
    pixelwise = F.cross_entropy(logits, target, reduction="none") * kept
    return global_sum(pixelwise.sum()) / global_sum(kept.sum().float()).clamp_min(1)


def mask_losses(masks: MemoryMasks, target: Tensor) -> dict[str, Tensor]:
    """Losses of the memory decoder's binary masks, over those that a prompt has reached.

    Args:
        target: (B, S, S) class indices, background 0.

    Returns:
        ``loss_masks``, binary cross-entropy plus Dice, and ``loss_iou``, the squared error of the prediction.
    """
    logits = masks.logits
    truth = F.one_hot(target, logits.shape[1] + 1).movedim(-1, 1)[:, 1:].float()
    truth = F.adaptive_avg_pool2d(truth, logits.shape[-1])
    count = global_sum(masks.prompted.sum().float()).clamp_min(1)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((2, 3))
    dice = 1 - _ratio(2 * logits.sigmoid() * truth, logits.sigmoid() + truth)
    predicted, true = (logits.detach() > 0).float(), (truth > 0.5).float()
    error = (masks.iou - _ratio(predicted * true, torch.maximum(predicted, true))) ** 2
    return {
        "loss_masks": global_sum(((entropy + dice) * masks.prompted).sum()) / count,
        "loss_iou": global_sum((error * masks.prompted).sum()) / count,
    }


def pseudo_labels(logits: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """The most probable classes (B, S, S), and booleans where their probability reaches `confidence`.

    >>> logits = torch.tensor([[0.9, 0.1], [0.4, 0.6]]).log().T[None, :, None, :]
    >>> classes, kept = pseudo_labels(logits, confidence=0.8)
    >>> classes.flatten().tolist(), kept.flatten().tolist()
    ([0, 1], [True, False])
    """
    probability, classes = logits.softmax(1).max(1)
    return classes, probability >= confidence


def global_sum(value: Tensor) -> Tensor:
    """The sum of `value` over all processes.

    Its gradient is scaled so that averaging gradients over processes, as DDP does, gives the gradient of the sum.
    """
    if not dist.is_initialized():
        return value
    world = dist.get_world_size()
    total = value.detach().clone()
    dist.all_reduce(total)
    return value * world + (total - value.detach() * world)


def _dice_loss(probability: Tensor, target: Tensor, keep: Tensor) -> Tensor:
    truth = F.one_hot(target, probability.shape[1]).movedim(-1, 1) * keep[:, None]
    kept = probability * keep[:, None]
    overlap, size = (kept * truth).sum((0, 2, 3)), (kept + truth).sum((0, 2, 3))
    dice = (2 * global_sum(overlap) + _SMOOTH) / (global_sum(size) + _SMOOTH)
    return (1 - dice[1:]).mean()


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    # Two empty masks agree.
    return (part.sum((2, 3)) + _SMOOTH) / (whole.sum((2, 3)) + _SMOOTH)
