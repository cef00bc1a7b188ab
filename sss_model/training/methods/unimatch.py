"""UniMatch: weak-to-strong consistency with a second stream whose features are perturbed instead of its image.

Source: UniMatch V1 (arXiv 2208.09910) as its authors run it on ACDC: losses and their weights, the confidence, and a
network that teaches itself. Data path, optimiser and schedule are those of the other methods, and so is what is kept:
the moving average, which here teaches nobody. Pseudo-labels are made without dropout, as theirs are for what CutMix
pastes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sss_model.training.batches import Batches, Labelled
from sss_model.training.losses import cross_entropy, global_sum, pseudo_labels
from sss_model.training.methods.base import Method, Target, Teacher
from sss_model.training.micro_batches import Inputs, Objective, Outputs
from sss_model.training.schedule import unlabelled_weight

_STRONG, _PERTURBED = 0.25, 0.5
_SMOOTH = 1e-5


class UniMatch(Method):
    """Labelled slices, and unlabelled ones in two strong views and as a weak view with perturbed features."""

    self_taught = True

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> tuple[Inputs, Objective]:
        labelled = batches.labelled(step, progress)
        weight = unlabelled_weight(self.config.train, progress)
        if not weight:
            return (
                {"images": labelled.images, "places": labelled.places, "seeds": labelled.seeds},
                lambda outputs: _labelled_scalars(outputs["logits"], labelled),
            )
        unlabelled = batches.unlabelled(step, labelled, progress)
        logits = teacher({"images": unlabelled.weak, "places": unlabelled.places})["logits"]
        target = Target(*pseudo_labels(logits, self.config.confidence))
        streams = [labelled.images, unlabelled.weak, *unlabelled.strong]
        sizes = [len(stream) for stream in streams]

        def objective(outputs: Outputs) -> dict[str, Tensor]:
            of_labelled, perturbed, *of_strong = outputs["logits"].split(sizes)
            scalars = _labelled_scalars(of_labelled, labelled)
            loss_unlabelled = _PERTURBED * dice_loss(perturbed, *target)
            for view, mix in zip(of_strong, unlabelled.mixes, strict=True):
                loss_unlabelled = loss_unlabelled + _STRONG * dice_loss(view, *target.pasted(mix, labelled))
            loss = (scalars["loss"] + weight * loss_unlabelled) / 2
            return scalars | {"loss": loss, "loss_unlabelled": loss_unlabelled, **self.accepted(*target)}

        inputs = {
            "images": torch.cat(streams),
            "places": torch.cat([labelled.places, unlabelled.places, *unlabelled.strong_places]),
            "seeds": torch.cat([labelled.seeds, unlabelled.weak_seeds, *unlabelled.strong_seeds]),
            "perturbed": _rows(sizes, chosen=1, device=labelled.images.device),
        }
        return inputs, objective


def dice_loss(logits: Tensor, target: Tensor, keep: Tensor | None = None) -> Tensor:
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


def _labelled_scalars(logits: Tensor, labelled: Labelled) -> dict[str, Tensor]:
    loss = (cross_entropy(logits, labelled.labels) + dice_loss(logits, labelled.labels)) / 2
    return {"loss": loss, "loss_labelled": loss}


def _rows(sizes: list[int], *, chosen: int, device: torch.device) -> Tensor:
    """Booleans over the rows of a batch of streams, true in the chosen one."""
    flags = torch.tensor([number == chosen for number in range(len(sizes))])
    return flags.repeat_interleave(torch.tensor(sizes)).to(device)
