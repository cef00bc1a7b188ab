"""Weak-to-strong consistency: a teacher's confident predictions on a weak view are the labels of two strong views.

The framework that SSS builds on: FixMatch's idea with UniMatch's two strong views and an EMA teacher.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sss_model.network.base import ClipBatch, SegmenterOutput, join_streams
from sss_model.training.batches import Batches
from sss_model.training.losses import pseudo_labels, segmentation_loss
from sss_model.training.methods.base import Target, Task, Teacher, TrainingMethod
from sss_model.training.methods.supervised import supervised_task
from sss_model.training.schedule import unlabelled_weight


class WeakToStrongMethod(TrainingMethod):
    """Labelled slices, and unlabelled ones in one weak and two strong views."""

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> Task:
        labelled = batches.labelled(step, progress)
        weight = unlabelled_weight(self.config.train, progress)
        if not weight:
            return supervised_task(labelled)
        unlabelled = batches.unlabelled(step, labelled, progress)
        logits = teacher(ClipBatch(unlabelled.weak, unlabelled.slice_position)).logits
        target = Target(*pseudo_labels(logits, self.config.train.confidence))
        streams = [labelled.single_slices(), *(view.single_slices() for view in unlabelled.strong)]

        def objective(output: SegmenterOutput) -> dict[str, Tensor]:
            of_labelled, *of_strong = output.split([stream.size for stream in streams])
            loss_labelled = segmentation_loss(of_labelled.logits, labelled.labels)
            losses = [
                segmentation_loss(of_view.logits, *target.pasted(view.mix, labelled))
                for of_view, view in zip(of_strong, unlabelled.strong, strict=True)
            ]
            loss_unlabelled = torch.stack(losses).mean()
            return {
                "loss": (loss_labelled + weight * loss_unlabelled) / 2,
                "loss_labelled": loss_labelled,
                "loss_unlabelled": loss_unlabelled,
                **self.accepted(target),
            }

        return Task(join_streams(streams), objective)
