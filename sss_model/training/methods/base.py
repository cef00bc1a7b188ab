"""The interface of a method, and the target that a teacher makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.network.base import ClipBatch, SegmenterOutput
from sss_model.training.batches import Batches, LabelledBatch
from sss_model.training.cutmix import CutMix
from sss_model.training.losses import global_sum
from sss_model.training.micro_batches import Objective

Teacher = Callable[[ClipBatch], SegmenterOutput]
"""The moving average of the student, or the student itself, without a gradient."""


@dataclass(frozen=True)
class Task:
    """The student's batch in a step, and the objective of its outputs.

    All streams are in one batch: DistributedDataParallel wants a single forward pass, which is also faster.
    """

    batch: ClipBatch
    objective: Objective


class TrainingMethod(ABC):
    """Turns a step's labelled and unlabelled batches into a task for the student.

    Args:
        config: the recipe.
        classes: names of the foreground classes, in order.

    Attributes:
        self_taught: whether the teacher is the student itself and not its moving average.
    """

    self_taught: ClassVar[bool] = False

    def __init__(self, config: Config, classes: list[str]) -> None:
        self.config, self.classes = config, classes

    @abstractmethod
    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> Task:
        """The task of a step.

        Args:
            step: from 0.
            progress: share of the budget used so far, 0 to 1.
        """

    def accepted(self, target: Target) -> dict[str, Tensor]:
        """For the log: the share of pixels, and of each class's, that counts as pseudo-labels."""
        overall = masked_share(target.kept, torch.ones_like(target.kept))
        return {"accepted": overall, **self.shares("accepted", target.classes, target.kept)}

    def shares(self, title: str, classes: Tensor, kept: Tensor) -> dict[str, Tensor]:
        """Per class, the share of its pixels (B, S, S) that is kept, over all processes; NaN where it has none."""
        return {
            f"{title}_{name}": masked_share(kept, classes == index) for index, name in enumerate(self.classes, start=1)
        }


class Target(NamedTuple):
    """Pseudo-labels of the weak view: classes (B, S, S), and booleans where they count."""

    classes: Tensor
    kept: Tensor

    def pasted(self, mix: CutMix, labelled: LabelledBatch) -> Target:
        """The target of a strong view; where it shows a labelled slice, the label counts everywhere."""
        everywhere = torch.ones_like(labelled.labels, dtype=torch.bool)
        return Target(mix.paste(self.classes, labelled.labels), mix.paste(self.kept, everywhere))


def masked_share(chosen: Tensor, among: Tensor) -> Tensor:
    """Share of the pixels `among` that are `chosen`, over all processes; NaN where there are none.

    >>> masked_share(torch.tensor([True, False, True]), torch.tensor([True, True, False]))
    tensor(0.5000)
    """
    return global_sum((chosen & among).sum().float()) / global_sum(among.sum().float())
