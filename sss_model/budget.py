"""How long training goes on, and what changes on the way: by steps, or by minutes of work."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sss_model.config import Train


@dataclass(frozen=True)
class Budget:
    """Turns what has been spent into a share of the whole, from 0 to 1."""

    steps: int | None
    minutes: float | None

    @classmethod
    def of(cls, config: Train) -> Budget:
        return cls(config.steps, config.minutes)

    def spent(self, *, step: int, seconds: float) -> float:
        """The share spent after `step` steps and `seconds` of training, pauses not counted."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None  # Train allows exactly one of the two
        return min(1.0, seconds / (60 * self.minutes))


def learning_rate(config: Train, spent: float) -> float:
    """The share of the peak learning rate: a linear rise over the warm-up, then a cosine to zero; zero ever after."""
    spent = min(1.0, spent)
    if spent < config.warmup:
        return max(spent / config.warmup, 0.01)
    return 0.5 * (1 + math.cos(math.pi * (spent - config.warmup) / (1 - config.warmup)))


def unlabelled_weight(config: Train, spent: float) -> float:
    """The weight of the unlabelled loss: 0 until its start, then a Gaussian rise as in Laine and Aila (2017)."""
    if config.method == "supervised" or spent < config.unlabelled_from:
        return 0.0
    since = spent - config.unlabelled_from
    rise = 1.0 if since >= config.ramp else math.exp(-5 * (1 - since / config.ramp) ** 2)
    return config.unlabelled_weight * rise
