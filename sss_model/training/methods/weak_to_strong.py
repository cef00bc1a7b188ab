"""Weak-to-strong consistency: a teacher's sure predictions on a weak view teach the student two strong ones.

The framework that SSS builds on: FixMatch's idea with UniMatch's two strong views and an EMA teacher.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sss_model.training.batches import Batches
from sss_model.training.losses import pseudo_labels, segmentation_loss
from sss_model.training.methods.base import Method, Target, Teacher
from sss_model.training.methods.supervised import labelled_task
from sss_model.training.micro_batches import Inputs, Objective, Outputs
from sss_model.training.schedule import unlabelled_weight


class WeakToStrong(Method):
    """Labelled slices, and unlabelled ones in one weak and two strong views."""

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> tuple[Inputs, Objective]:
        labelled = batches.labelled(step, progress)
        weight = unlabelled_weight(self.config.train, progress)
        if not weight:
            return labelled_task(labelled)
        unlabelled = batches.unlabelled(step, labelled, progress)
        logits = teacher({"images": unlabelled.weak, "places": unlabelled.places})["logits"]
        target = Target(*pseudo_labels(logits, self.config.train.confidence))
        sizes = [len(labelled.images), *map(len, unlabelled.strong)]

        def objective(outputs: Outputs) -> dict[str, Tensor]:
            of_labelled, *of_strong = outputs["logits"].split(sizes)
            loss_labelled = segmentation_loss(of_labelled, labelled.labels)
            losses = [
                segmentation_loss(view, *target.pasted(mix, labelled))
                for view, mix in zip(of_strong, unlabelled.mixes, strict=True)
            ]
            loss_unlabelled = torch.stack(losses).mean()
            return {
                "loss": (loss_labelled + weight * loss_unlabelled) / 2,
                "loss_labelled": loss_labelled,
                "loss_unlabelled": loss_unlabelled,
                **self.accepted(*target),
            }

        inputs = {
            "images": torch.cat([labelled.images, *unlabelled.strong]),
            "places": torch.cat([labelled.places, *unlabelled.strong_places]),
            "seeds": torch.cat([labelled.seeds, *unlabelled.strong_seeds]),
        }
        return inputs, objective
