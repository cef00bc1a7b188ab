"""Cost of segmenting a volume, by encoder and image size: slices encoded once for all classes, or once a class.

    python -m bench.volume --encoder micro --encoder tiny --size 128 --size 256

Medical-SAM2 decodes one structure at a time and encodes every slice anew for each; here that is the same network with
one foreground class, run as often as there are structures. Each row has a process of its own, so that peak memory is
its own, too. Weights are untrained; what PCSW judges and prompts with are made-up hearts with noise, as a network would
see that has learned. One look at a volume: a recipe that turns scans and averages rotated views takes several.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from sss_ops.command_line import run_command

_STRUCTURES = 3
_SPACING = (10.0, 1.5, 1.5)


def command(
    encoder: Annotated[list[str], typer.Option(help="micro, tiny, small, base_plus or large.")] = ["micro", "tiny"],  # noqa: B006
    size: Annotated[list[int], typer.Option(help="Side of a slice in pixels.")] = [128, 256],  # noqa: B006
    depth: Annotated[int, typer.Option(help="Slices in the volume.")] = 10,
    recipe: Annotated[Path, typer.Option(help="The recipe to start from.")] = Path("configs/cpu/acdc.yaml"),
) -> None:
    """Print seconds a volume and peak memory.

    Example: python -m bench.volume --encoder tiny --size 256 --depth 10
    """
    from sss_ops.experiments.cells import print_table

    rows = [_row(recipe, name, side, depth) for name, side in product(encoder, size)]
    columns = [
        "encoder",
        "size",
        "seconds",
        "peak_mb",
        "seconds_per_class_encoding",
        "peak_mb_per_class_encoding",
        "ratio",
    ]
    print_table(f"A volume of {depth} slices, {_STRUCTURES} structures, SSS in full", rows, columns)
    print(json.dumps({"depth": depth, "structures": _STRUCTURES, "rows": rows}))


def _row(recipe: Path, encoder: str, size: int, depth: int) -> dict[str, Any]:
    once = _in_a_process(recipe, encoder, size, depth, _STRUCTURES)
    each = _in_a_process(recipe, encoder, size, depth, 1)
    row = {"encoder": encoder, "size": size, "seconds": once["seconds"], "peak_mb": once["peak_mb"]}
    again = each["seconds"] * _STRUCTURES
    return row | {
        "seconds_per_class_encoding": again,
        "peak_mb_per_class_encoding": each["peak_mb"],
        "ratio": once["seconds"] / again,
    }


def _in_a_process(*arguments: Any) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_segment, arguments)


def _segment(recipe: Path, encoder: str, size: int, depth: int, structures: int) -> dict[str, float]:
    """Seconds, the quicker of two runs after one to warm up, and megabytes beyond those of the process before."""
    import torch

    from bench.pcsw import noisy_hearts
    from sss_model.config import load_config
    from sss_model.device import make_fabric
    from sss_model.network import build_network

    changes = {"train.method": "sss", "model.encoder": encoder, "model.checkpoint": None, "data.size": size}
    config = load_config(recipe, changes)
    fabric = make_fabric(config.train.precision)
    before = _peak_mb()
    network = build_network(config, classes=structures + 1).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(depth, 3, size, size).contiguous(memory_format=torch.channels_last)
    classes, _ = noisy_hearts(depth, size)
    seen = 10 * torch.nn.functional.one_hot(torch.from_numpy(classes % (structures + 1)).long(), structures + 1)
    prompter = network._prompter
    network._prompter = lambda coarse, spacing, *, clip: prompter(seen.movedim(-1, 1), spacing, clip=clip)
    seconds = []
    with torch.no_grad(), fabric.autocast():
        for _ in range(3):
            began = time.perf_counter()
            network.segment(images, _SPACING, batch=config.predict.batch)
            seconds.append(time.perf_counter() - began)
    return {"seconds": min(seconds[1:]), "peak_mb": round(_peak_mb() - before)}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    run_command(command)
