"""UniMatch: weak-to-strong consistency with a further stream whose features are perturbed instead of its image.

Source: UniMatch V1 (arXiv 2208.09910) as its authors run it on ACDC: losses and their weights, the confidence, and a
network that teaches itself. Data path, optimiser and schedule are those of the other methods, and so are the weights
that are kept: the moving average's, which makes no pseudo-labels here. Pseudo-labels are made without dropout, as
theirs are for what CutMix pastes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.network.base import ClipBatch, SegmenterOutput, join_streams
from sss_model.training.batches import Batches, LabelledBatch
from sss_model.training.losses import cross_entropy, global_sum, pseudo_labels
from sss_model.training.methods.base import Target, Task, Teacher, TrainingMethod
from sss_model.training.schedule import unlabelled_weight

_STRONG, _PERTURBED = 0.25, 0.5
_SMOOTH = 1e-5


class UniMatchMethod(TrainingMethod):
    """Labelled slices, and unlabelled ones in two strong views and as a weak view with perturbed features."""

    self_taught = True

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> Task:
        labelled = batches.labelled(step, progress)
        weight = unlabelled_weight(self.config.train, progress)
        if not weight:
            return Task(labelled.single_slices(), lambda output: _labelled_scalars(output.logits, labelled))
        unlabelled = batches.unlabelled(step, labelled, progress)
        weak = ClipBatch(unlabelled.weak, unlabelled.slice_position)
        target = Target(*pseudo_labels(teacher(weak).logits, self.config.confidence))
        perturbed = torch.ones(weak.size, dtype=torch.bool, device=weak.images.device)
        streams = [
            labelled.single_slices(),
            weak._replace(seeds=unlabelled.weak_seeds, perturbed=perturbed),
            *(view.single_slices() for view in unlabelled.strong),
        ]

        def objective(output: SegmenterOutput) -> dict[str, Tensor]:
            of_labelled, of_perturbed, *of_strong = output.split([stream.size for stream in streams])
            scalars = _labelled_scalars(of_labelled.logits, labelled)
            loss_unlabelled = _PERTURBED * squared_dice_loss(of_perturbed.logits, *target)
            for of_view, view in zip(of_strong, unlabelled.strong, strict=True):
                pasted = target.pasted(view.mix, labelled)
                loss_unlabelled = loss_unlabelled + _STRONG * squared_dice_loss(of_view.logits, *pasted)
            loss = (scalars["loss"] + weight * loss_unlabelled) / 2
            return scalars | {"loss": loss, "loss_unlabelled": loss_unlabelled, **self.accepted(target)}

        return Task(join_streams(streams), objective)


def squared_dice_loss(logits: Tensor, target: Tensor, keep: Tensor | None = None) -> Tensor:
    """UniMatch's Dice: squares in the denominator, the mean over all classes, background among them.

    Args:
        logits: (B, classes, S, S).
        target: (B, S, S) class indices.
        keep: (B, S, S) booleans: pixels that count; None keeps all.
    """
    probability = logits.softmax(1)
    truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1)
    if keep is not None:
        probability, truth = probability * keep[:, None], truth * keep[:, None]
    overlap, size = (probability * truth).sum((0, 2, 3)), (probability**2 + truth).sum((0, 2, 3))
    return (1 - (2 * global_sum(overlap) + _SMOOTH) / (global_sum(size) + _SMOOTH)).mean()


def _labelled_scalars(logits: Tensor, labelled: LabelledBatch) -> dict[str, Tensor]:
    loss = (cross_entropy(logits, labelled.labels) + squared_dice_loss(logits, labelled.labels)) / 2
    return {"loss": loss, "loss_labelled": loss}
