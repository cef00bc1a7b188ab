"""What every method is asked, and the teacher that it may ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from sss_model.batches import Batches
from sss_model.config import Config
from sss_model.micro_batches import Inputs, Objective, Outputs
from sss_model.objective import global_sum


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
    def task(self, batches: Batches, teacher: Teacher, *, step: int, spent: float) -> tuple[Inputs, Objective]:
        """What the student is given, in one forward pass (DDP wants a single one, and it is faster), and the objective
        of its outputs.

        Args:
            step: from 0.
            spent: the share of the budget spent so far.
        """

    def accepted(self, classes: Tensor, kept: Tensor) -> dict[str, Tensor]:
        """Per class, the share of the teacher's pixels (B, S, S), over all processes, that count as pseudo-labels."""
        shares = {"accepted": share(kept, torch.ones_like(kept))}
        for index, name in enumerate(self.classes, start=1):
            shares[f"accepted_{name}"] = share(kept, classes == index)
        return shares


def share(these: Tensor, among: Tensor) -> Tensor:
    """Share of some pixels that others hold too, over all processes; 0 where there are none."""
    return global_sum((these & among).sum().float()) / global_sum(among.sum().float()).clamp_min(1)
