"""Labelled slices alone: what every other method has to beat."""

from __future__ import annotations

from torch import Tensor

from sss_model.training.batches import Batches, Labelled
from sss_model.training.losses import segmentation_loss
from sss_model.training.methods.base import Method, Teacher
from sss_model.training.micro_batches import Inputs, Objective, Outputs


class Supervised(Method):
    """Cross-entropy plus Dice on labelled slices."""

    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> tuple[Inputs, Objective]:
        return labelled_task(batches.labelled(step, progress))


def labelled_task(labelled: Labelled) -> tuple[Inputs, Objective]:
    """The task of learning from a labelled batch alone."""

    def objective(outputs: Outputs) -> dict[str, Tensor]:
        loss = segmentation_loss(outputs["logits"], labelled.labels)
        return {"loss": loss, "loss_labelled": loss}

    return {"images": labelled.images, "places": labelled.places, "seeds": labelled.seeds}, objective
