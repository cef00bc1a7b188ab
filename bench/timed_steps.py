"""Training with timed steps: the whole step, the wait for its data, and PCSW."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

_CLASSES = ["RV", "MYO", "LV"]
_VOLUMES, _DEPTH = 8, 10


@dataclass(frozen=True)
class Step:
    """Seconds of a step, of the wait for its data and of PCSW in it, and its numbers of slices."""

    seconds: float
    wait: float
    pcsw: float
    labelled: int
    unlabelled: int
    memory_alone: bool
    """Whether only the memory decoder learns."""


class TimedTraining:
    """A training by a recipe, from an untrained network.

    Args:
        slices: the labelled and the unlabelled `SliceSet`, of classes 0 to 3; synthetic ones by default.
    """

    def __init__(self, config: Any, slices: Any = None) -> None:
        from sss_model.device import make_fabric
        from sss_model.network import build_network
        from sss_model.network import prompts as prompter
        from sss_model.training.batches import Batches
        from sss_model.training.learner import Learner

        self._config, fabric = config, make_fabric(config.train.precision)
        labelled, unlabelled = slices or _synthetic(config)
        self._batches = Batches(config, labelled=labelled, unlabelled=unlabelled, fabric=fabric)
        self._labelled, self._unlabelled = _Source(self._batches.labelled), _Source(self._batches.unlabelled)
        self._batches.labelled, self._batches.unlabelled = self._labelled, self._unlabelled  # type: ignore[method-assign]
        self._pcsw = _Clocked(prompter.generate_prompts)
        network = build_network(config, classes=len(_CLASSES) + 1)
        self._learner = Learner(network, config, _CLASSES, fabric)

    def step(self, number: int, progress: float) -> Step:
        """Take and time step `number`, at training progress `progress`, 0 to 1."""
        from sss_model.network import prompts as prompter

        for clocked in (self._labelled, self._unlabelled, self._pcsw):
            clocked.reset()
        with patch.object(prompter, "generate_prompts", self._pcsw):
            began = time.perf_counter()
            self._learner.step(self._batches, step=number, progress=progress)
            seconds = time.perf_counter() - began
        return Step(
            seconds=seconds,
            wait=self._labelled.seconds + self._unlabelled.seconds,
            pcsw=self._pcsw.seconds,
            labelled=self._labelled.slices,
            unlabelled=self._unlabelled.slices,
            memory_alone=self._config.sss.memory_learns_alone(progress),
        )


def mean_step(steps: list[Step]) -> dict[str, float]:
    """Mean of each field over steps."""
    rows = [asdict(step) for step in steps]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _synthetic(config: Any) -> Any:
    from bench.pcsw import noisy_hearts
    from sss_model.data.slices import SliceSet

    classes, _ = noisy_hearts(_VOLUMES * _DEPTH, config.data.canvas)
    labels = np.split(classes % (len(_CLASSES) + 1), _VOLUMES)
    draws = np.random.default_rng(0)
    images = [(one + 0.3 * draws.standard_normal(one.shape)).astype(np.float16) for one in labels]
    distances = [10.0] * _VOLUMES
    neighbours = config.data.neighbours
    return SliceSet(images, labels, neighbours, distances), SliceSet(images, None, neighbours, distances)


@dataclass
class _Clocked:
    """A function that is timed."""

    function: Callable[..., Any]
    seconds: float = 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        found = self.function(*arguments, **options)
        self.seconds += time.perf_counter() - began
        return found

    def reset(self) -> None:
        self.seconds = 0.0


@dataclass
class _Source(_Clocked):
    """A source of batches, timed, with a count of slices."""

    slices: int = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        batch = super().__call__(*arguments, **options)
        self.slices += len(batch.spacing)
        return batch

    def reset(self) -> None:
        super().reset()
        self.slices = 0
