"""Supervised training on labelled slices alone, the baseline of every other method."""

from __future__ import annotations

from torch import Tensor

from sss_model.network.base import SegmenterOutput
from sss_model.training.batches import Batches, LabelledBatch
from sss_model.training.losses import segmentation_loss
from sss_model.training.methods.base import Task, Teacher, TrainingMethod


class SupervisedMethod(TrainingMethod):
    """Cross-entropy plus Dice on labelled slices."""

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> Task:
        return supervised_task(batches.labelled(step, progress))


def supervised_task(labelled: LabelledBatch) -> Task:
    """The task of learning from a labelled batch alone."""

    def objective(output: SegmenterOutput) -> dict[str, Tensor]:
        loss = segmentation_loss(output.logits, labelled.labels)
        return {"loss": loss, "loss_labelled": loss}

    return Task(labelled.single_slices(), objective)
