"""Time of a training step of SSS, by part.

    python -m bench.step --encoder micro --size 128

The time of DFE and of the memory decoder is what a step saves without them, backward pass included. PCSW and the wait
for data are timed where they happen; encoder, feature decoder and loss alone, on each step's number of slices, which is
larger in steps that see clips. Rounds of the trainings and of the parts alternate, so that a machine's slow minutes
affect all alike. Figures are means over whole rounds, in which one step sees clips, with every mechanism on; with
``--scheduled``, over steps spread evenly over a training, each as the recipe schedules it. The teacher's findings, made
a few times in a training (orientations, proportions, volume checks), are no part of a step. Slices are synthetic.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.timed_steps import Step, TimedTraining, mean_step
from sss_ops.command_line import run_command

_CLASSES = 4
ROUND = 10
"""Steps of a round, one of which sees clips, as often as in the recipes for GPUs."""
_WARM_UP = 3
"""Untimed pairs of steps, one with clips and one without: the first ones are slow."""
_ALWAYS = {
    **{"train.unlabelled_from": 0, "train.ramp": 0},
    **{"sss.clip_every": ROUND, "sss.memory_alone": 0, "pcsw.warmup": 0},
}
_WHOLE = "the whole"
_TRAININGS: dict[str, dict[str, Any]] = {
    _WHOLE: {},
    "DFE": {"sss.enhancement": False},
    "memory decoder": {"sss.memory": False},
}
"""The whole training, and trainings without one part."""


def command(
    encoder: Annotated[str, typer.Option(help="micro, tiny, small, base_plus or large.")] = "micro",
    size: Annotated[int, typer.Option(help="Side of a slice in pixels.")] = 128,
    rounds: Annotated[int, typer.Option(help=f"Rounds of {ROUND} steps to take the mean of.")] = 3,
    scheduled: Annotated[bool, typer.Option("--scheduled", help="Steps as the recipe schedules them.")] = False,
    recipe: Annotated[Path, typer.Option(help="The recipe to start from.")] = Path("configs/cpu/acdc.yaml"),
) -> None:
    """Print the seconds and the share of a step that each part takes.

    Example: python -m bench.step --encoder tiny --size 256
    """
    from sss_model.config import load_config
    from sss_ops.experiments.cells import print_table

    start = {"train.method": "sss", "model.encoder": encoder, "data.size": size} | ({} if scheduled else _ALWAYS)
    configs = {name: load_config(recipe, start | changes) for name, changes in _TRAININGS.items()}
    steps, parts = _timed(configs, rounds, spread=scheduled)
    whole = steps.pop(_WHOLE)
    beyond = 1 - (parts["encoder"] + parts["feature decoder"]) / whole["seconds"]
    parts |= {"data wait": whole["wait"], "PCSW": whole["pcsw"]}
    # Without a memory decoder there are no prompts either; PCSW's time for them counts as PCSW's.
    network = whole["seconds"] - whole["pcsw"]
    parts |= {name: max(network - (other["seconds"] - other["pcsw"]), 0.0) for name, other in steps.items()}
    parts["the rest"] = max(whole["seconds"] - sum(parts.values()), 0.0)
    rows = [{"part": name, "seconds": took, "share": took / whole["seconds"]} for name, took in parts.items()]
    title = f"A step of SSS, {encoder} at {size}²" + (", as scheduled" if scheduled else "")
    print_table(title, rows, ["part", "seconds", "share"])
    print(f"beyond encoder and feature decoder: {beyond:.1%}")
    setting = {"encoder": encoder, "size": size, "scheduled": scheduled}
    print(json.dumps({**setting, "seconds": whole["seconds"], "beyond": beyond, "parts": rows}))


def _timed(
    configs: dict[str, Any], rounds: int, *, spread: bool
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Means of a step of each training, and seconds of the parts alone for a mean step of the whole."""
    trainings = {name: TimedTraining(config) for name, config in configs.items()}
    alone = _Alone(configs[_WHOLE])
    for training in trainings.values():
        for number in range(0, _WARM_UP * ROUND, ROUND):
            training.step(number, 0.5)
            training.step(number + 1, 0.5)
    count = rounds * ROUND
    steps: dict[str, list[Step]] = {name: [] for name in trainings}
    parts: Counter[str] = Counter()
    for first in range(0, count, ROUND):
        for name, training in trainings.items():
            for number in range(first, first + ROUND):
                steps[name].append(training.step(number, (number + 0.5) / count if spread else 0.5))
        parts += alone.seconds(steps[_WHOLE][first:])
    means = {name: mean_step(taken) for name, taken in steps.items()}
    return means, {name: taken / count for name, taken in parts.items()}


class _Alone:
    """Encoder, feature decoder and loss, each alone: forward and backward for the student, forward for the teacher."""

    def __init__(self, config: Any) -> None:
        import torch

        from sss_model.device import make_fabric
        from sss_model.network.segmenter import Segmenter

        self._fabric, self._size = make_fabric(config.train.precision), config.data.size
        self._network = Segmenter(config.model, classes=_CLASSES, feature_dropout=0)
        self._network.to(self._fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def seconds(self, steps: list[Step]) -> Counter[str]:
        """Seconds of each part, summed over the numbers of slices of these steps."""
        found: Counter[str] = Counter()
        alike = Counter((step.labelled + 2 * step.unlabelled, step.unlabelled, step.memory_alone) for step in steps)
        for (student, teacher, frozen), count in alike.items():
            with self._fabric.autocast():
                jobs = self._jobs(student, teacher, frozen=frozen)
                found.update({name: count * _seconds(job) for name, job in jobs.items()})
        return found

    def _jobs(self, student: int, teacher: int, *, frozen: bool) -> dict[str, Callable[[], None]]:
        """A step's work in each part.

        Args:
            frozen: whether the student's encoder and decoder get no gradient.
        """
        import torch

        from sss_model.data.slice_position import volume_positions
        from sss_model.training.losses import segmentation_loss

        network, size, device = self._network, self._size, self._fabric.device
        images = torch.randn(student + teacher, 3, size, size, device=device)
        images = images.contiguous(memory_format=torch.channels_last)
        positions = volume_positions(student + teacher, device)
        with torch.no_grad():
            encoded = network.encoder(images)
            logits = network.decoder(images[:student], [one[:student] for one in encoded], positions[:student])
        logits = logits.float().requires_grad_()
        target = torch.zeros(student, size, size, dtype=torch.long, device=device)
        learning, taught = slice(0, student), slice(student, None)

        def encode() -> None:
            with torch.set_grad_enabled(not frozen):
                total = sum(one.float().sum() for one in network.encoder(images[learning]))
            _backward(total)
            if teacher:
                with torch.no_grad():
                    network.encoder(images[taught])

        def decode() -> None:
            features = [one[learning].clone().requires_grad_() for one in encoded]
            with torch.set_grad_enabled(not frozen):
                total = network.decoder(images[learning], features, positions[learning]).float().sum()
            _backward(total)
            if teacher:
                with torch.no_grad():
                    network.decoder(images[taught], [one[taught] for one in encoded], positions[taught])

        return {
            "encoder": encode,
            "feature decoder": decode,
            "loss": lambda: segmentation_loss(logits, target).backward(),
        }


def _backward(total: Any) -> None:
    if total.requires_grad:
        total.backward()


def _seconds(job: Callable[[], None]) -> float:
    job()
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


if __name__ == "__main__":
    run_command(command)
