"""What every method is asked, and the teacher that it may ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from sss_model.config import Config
from sss_model.training.batches import Batches, Labelled
from sss_model.training.cutmix import CutMix
from sss_model.training.losses import global_sum
from sss_model.training.micro_batches import Inputs, Objective, Outputs


class Teacher(Protocol):
    """The moving average of the student, or the student as it is, asked without a gradient."""

    def __call__(self, inputs: Inputs) -> Outputs: ...


class Method(ABC):
    """Turns a step's batches into a task for the student.

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
    def task(self, batches: Batches, teacher: Teacher, *, step: int, progress: float) -> tuple[Inputs, Objective]:
        """What the student is given, in one forward pass (DDP wants a single one, and it is faster), and the objective
        of its outputs.

        Args:
            step: from 0.
            progress: share of the budget used so far, 0 to 1.
        """

    def accepted(self, classes: Tensor, kept: Tensor) -> dict[str, Tensor]:
        """For the log: the share of pixels, and of each class's, that counts as pseudo-labels."""
        return {"accepted": share(kept, torch.ones_like(kept)), **self.shares("accepted", classes, kept)}

    def shares(self, title: str, classes: Tensor, kept: Tensor) -> dict[str, Tensor]:
        """Per class, the share of its pixels (B, S, S) that is kept, over all processes; nan where it has none."""
        return {f"{title}_{name}": share(kept, classes == index) for index, name in enumerate(self.classes, start=1)}


class Target(NamedTuple):
    """What the teacher says of the weak view: classes (B, S, S), and where they teach."""

    classes: Tensor
    kept: Tensor

    def pasted(self, mix: CutMix, labelled: Labelled) -> Target:
        """The target of a strong view; where it shows a labelled slice, the label teaches everywhere."""
        everywhere = torch.ones_like(labelled.labels, dtype=torch.bool)
        return Target(mix.paste(self.classes, labelled.labels), mix.paste(self.kept, everywhere))


def share(these: Tensor, among: Tensor) -> Tensor:
    """Share of some pixels that others hold too, over all processes; nan where there are none."""
    return global_sum((these & among).sum().float()) / global_sum(among.sum().float())
