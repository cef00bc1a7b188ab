"""Schedules over training progress, the share of the budget of steps or minutes used so far (0 to 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sss_model.config import Train
from sss_model.errors import InputError


@dataclass(frozen=True)
class Budget:
    """The length of a training in steps or in minutes of work.

    A budget of minutes includes the preparation before the first step, but schedules begin with that step.

    >>> Budget(steps=200, minutes=None).progress(step=50, seconds=0)
    0.25
    >>> Budget(steps=None, minutes=2, prepared=60).progress(step=0, seconds=90)
    0.5
    """

    steps: int | None
    minutes: float | None
    prepared: float = 0.0

    @classmethod
    def of(cls, config: Train, *, prepared: float = 0.0) -> Budget:
        """The recipe's budget.

        Args:
            prepared: seconds of work before the first step.

        Raises:
            InputError: nothing is left for a step.
        """
        if config.minutes is not None and prepared >= 60 * config.minutes:
            raise InputError(
                f"train.minutes: {config.minutes:g}, and {prepared / 60:.1f} were gone before the first step, for "
                "reading the scans; expected more, or another try, which finds them in the cache"
            )
        return cls(config.steps, config.minutes, prepared)

    def progress(self, *, step: int, seconds: float) -> float:
        """Training progress, 0 to 1, after `step` steps and `seconds` of work, preparation included and pauses not."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None  # Train allows exactly one of the two
        return min(1.0, (seconds - self.prepared) / (60 * self.minutes - self.prepared))


def learning_rate(config: Train, progress: float) -> float:
    """The share of the peak learning rate: a linear rise over the warm-up, then a cosine to zero; zero ever after.

    >>> train = Train.model_construct(warmup=0.1)
    >>> [round(learning_rate(train, progress), 3) for progress in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.01, 0.5, 1.0, 0.5, 0.0]
    """
    progress = min(1.0, progress)
    if progress < config.warmup:
        return max(progress / config.warmup, 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))


def unlabelled_weight(config: Train, progress: float) -> float:
    """The weight of the unlabelled loss: 0 until its start, then a Gaussian rise as in Laine and Aila (2017)."""
    if config.method == "supervised" or progress < config.unlabelled_from:
        return 0.0
    since = progress - config.unlabelled_from
    rise = 1.0 if since >= config.ramp else math.exp(-5 * (1 - since / config.ramp) ** 2)
    return config.unlabelled_weight * rise
