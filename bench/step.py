"""What a training step of SSS costs, and where the time goes.

    python -m bench.step --encoder micro --size 128

What DFE and the memory decoder cost is what a step saves without them, backward pass included; PCSW and the wait for
data are timed where they happen; encoder, feature decoder and loss alone, on as many slices as a step has, which is
more where it sees clips. Means over whole rounds of five steps, one of which sees clips, with every mechanism at work;
with ``--scheduled`` over steps spread evenly over a training, each as the recipe has it at its time. What a teacher
finds out a few times in a training (turns, proportions, surveys) is no part of a step. On made-up slices.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer

from components.command_line import run_command

_CLASSES, _VOLUMES, _DEPTH = 4, 8, 10
ROUND = 5
"""Steps of a round, one of which sees clips: as often as in the recipes for GPUs."""
_ALWAYS = {
    **{"train.unlabelled_from": 0, "train.ramp": 0},
    **{"sss.clip_every": ROUND, "sss.memory_alone": 0, "pcsw.warmup": 0},
}


def command(
    encoder: Annotated[str, typer.Option(help="micro, tiny, small, base_plus or large.")] = "micro",
    size: Annotated[int, typer.Option(help="Side of a slice in pixels.")] = 128,
    rounds: Annotated[int, typer.Option(help="How many rounds of steps to take the mean of.")] = 2,
    scheduled: Annotated[bool, typer.Option("--scheduled", help="Steps as the recipe schedules them.")] = False,
    recipe: Annotated[Path, typer.Option(help="The recipe to start from.")] = Path("configs/cpu/acdc.yaml"),
) -> None:
    """Print the seconds and the share of a step that each part takes.

    Example: python -m bench.step --encoder tiny --size 256
    """
    from components.cells import print_table
    from sss_model.config import load_config

    start = {"train.method": "sss", "model.encoder": encoder, "data.size": size} | ({} if scheduled else _ALWAYS)

    def step(**changes: Any) -> dict[str, float]:
        config = load_config(recipe, {**start, **{key.replace("__", "."): value for key, value in changes.items()}})
        return timed_step(config, rounds, spread=scheduled)

    whole = step()
    without = {"DFE": step(sss__enhancement=False), "memory decoder": step(sss__memory=False)}
    labelled, unlabelled = (round(whole[name]) for name in ("labelled", "unlabelled"))
    alone = _alone(load_config(recipe, start), rounds, student=labelled + 2 * unlabelled, teacher=unlabelled)
    parts = alone | {"data wait": whole["wait"], "PCSW": whole["pcsw"]}
    # Without a memory decoder nothing is prompted either: what PCSW does for it is PCSW's.
    network = whole["seconds"] - whole["pcsw"]
    parts |= {name: max(network - (other["seconds"] - other["pcsw"]), 0.0) for name, other in without.items()}
    parts["the rest"] = max(whole["seconds"] - sum(parts.values()), 0.0)
    rows = [{"part": name, "seconds": took, "share": took / whole["seconds"]} for name, took in parts.items()]
    beyond = 1 - (alone["encoder"] + alone["feature decoder"]) / whole["seconds"]
    title = f"A step of SSS, {encoder} at {size}²" + (", as scheduled" if scheduled else "")
    print_table(title, rows, ["part", "seconds", "share"])
    print(f"beyond encoder and feature decoder: {beyond:.1%}")
    setting = {"encoder": encoder, "size": size, "scheduled": scheduled}
    print(json.dumps({**setting, "seconds": whole["seconds"], "beyond": beyond, "parts": rows}))


def timed_step(config: Any, rounds: int, slices: Any = None, *, spread: bool = False) -> dict[str, float]:
    """Mean ``seconds`` of a step, of the ``wait`` for its data and of ``pcsw`` in it, and its mean ``labelled`` and
    ``unlabelled`` slices.

    Args:
        rounds: of five steps each.
        slices: the labelled and the unlabelled `SliceSet`, of classes 0 to 3; made up where none are given.
        spread: whether steps are spread over a training's budget; else all are at its half.
    """
    from sss_model.batches import Batches
    from sss_model.device import make_fabric
    from sss_model.learner import Learner
    from sss_model.network import build_network, prompter

    fabric = make_fabric(config.train.precision)
    labelled, unlabelled = slices or _slices(config)
    batches = Batches(config, labelled=labelled, unlabelled=unlabelled, fabric=fabric)
    sources = {name: _Source(getattr(batches, name)) for name in ("labelled", "unlabelled")}
    for name, source in sources.items():
        setattr(batches, name, source)
    learner = Learner(build_network(config, classes=_CLASSES), config, ["RV", "MYO", "LV"], fabric)
    count, pcsw = rounds * ROUND, _Clocked(prompter.generate_prompts)
    with patch.object(prompter, "generate_prompts", pcsw):
        for number in range(2 * ROUND):  # the first ones warm up, and teach it to see something
            learner.step(batches, step=number, spent=0.5)
        for clocked in (*sources.values(), pcsw):
            clocked.reset()
        began = time.perf_counter()
        for number in range(count):
            learner.step(batches, step=number, spent=(number + 0.5) / count if spread else 0.5)
        seconds = (time.perf_counter() - began) / count
    wait = sum(source.seconds for source in sources.values()) / count
    slices_a_step = {name: source.slices / count for name, source in sources.items()}
    return {"seconds": seconds, "wait": wait, "pcsw": pcsw.seconds / count, **slices_a_step}


def _alone(config: Any, rounds: int, *, student: int, teacher: int) -> dict[str, float]:
    """Seconds of encoder, feature decoder and loss for so many slices: the student's both ways, the teacher's one."""
    import torch

    from sss_model.device import make_fabric
    from sss_model.network.segmenter import Segmenter
    from sss_model.objective import segmentation_loss
    from sss_model.places import volume_places

    fabric, size = make_fabric(config.train.precision), config.data.size
    network = Segmenter(config.model, classes=_CLASSES, feature_dropout=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = fabric.to_device(network)

    def images(count: int) -> Any:
        return fabric.to_device(torch.randn(count, 3, size, size).contiguous(memory_format=torch.channels_last))

    with fabric.autocast():
        seen, taught = images(student), images(teacher)
        places = volume_places(student, fabric.device)
        features = [feature.detach().requires_grad_() for feature in network.encoder(seen)]
        logits = network.decoder(seen, features, places).detach().float().requires_grad_()
        target = torch.zeros(student, size, size, dtype=torch.long, device=fabric.device)

        def encode() -> None:
            sum(feature.float().sum() for feature in network.encoder(seen)).backward()
            with torch.no_grad():
                network.encoder(taught)

        def decode() -> None:
            network.decoder(seen, features, places).float().sum().backward()
            with torch.no_grad():
                network.decoder(taught, [feature[:teacher] for feature in features], places[:teacher])

        jobs = {"encoder": encode, "feature decoder": decode}
        jobs["loss"] = lambda: segmentation_loss(logits, target).backward()
        return {name: _mean_seconds(job, rounds + 2) for name, job in jobs.items()}


def _slices(config: Any) -> Any:
    from bench.pcsw import noisy_hearts
    from sss_model.slices import SliceSet

    classes, _ = noisy_hearts(_VOLUMES * _DEPTH, config.data.canvas)
    labels = np.split(classes % _CLASSES, _VOLUMES)
    draws = np.random.default_rng(0)
    images = [(one + 0.3 * draws.standard_normal(one.shape)).astype(np.float16) for one in labels]
    distances = [10.0] * _VOLUMES
    neighbours = config.data.neighbours
    return SliceSet(images, labels, neighbours, distances), SliceSet(images, None, neighbours, distances)


@dataclass
class _Clocked:
    """A function with a clock."""

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
    """Where a step gets a batch from, with a count of slices, too."""

    slices: int = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        batch = super().__call__(*arguments, **options)
        self.slices += len(batch.places)
        return batch

    def reset(self) -> None:
        super().reset()
        self.slices = 0


def _mean_seconds(job: Callable[[], None], times: int) -> float:
    job()
    began = time.perf_counter()
    for _ in range(times):
        job()
    return (time.perf_counter() - began) / times


if __name__ == "__main__":
    run_command(command)
