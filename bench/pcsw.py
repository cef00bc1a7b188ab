"""PCSW's speed: slices a second on one core, by size of the map and number of slices.

python -m bench.pcsw
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import zoom

from sss_ops.command_line import run_command

_FOREGROUND = 4
_SPACING = (10.0, 1.5, 1.5)


def command() -> None:
    """Time the prompt generator, the best of five runs, on noisy heart-like maps of four classes and background.

    Example: python -m bench.pcsw
    """
    from sss_ops.experiments.cells import print_table

    rows = [_row(side=256, slices=slices) for slices in (8, 32, 128, 512)] + [_row(side=128, slices=32)]
    print_table(
        "PCSW, one core", rows, ["side", "slices", "components", "prompts", "ms_per_slice", "slices_per_second"]
    )
    slowest = min(row["slices_per_second"] for row in rows if row["side"] == 256)
    print(json.dumps({"slices_per_second": slowest, "classes": _FOREGROUND, "rows": rows}))


def noisy_hearts(slices: int, side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A ring round a cavity, a crescent beside it and a lump, tapering from slice to slice, with uneven edges and, in
    each slice, twenty specks and as many single pixels: classes 0 to 4 and probabilities, (slices, side, side)."""
    draws = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    classes = np.zeros((slices, side, side), np.uint8)
    for index, plane in enumerate(classes):
        phase = 2 * np.pi * index / 24
        ragged = 0.03 * zoom(draws.standard_normal((side // 8, side // 8)), 8, order=1)
        radius = np.hypot(rows - 0.02 * np.sin(phase), columns) + ragged
        scale = 1 + 0.2 * np.cos(phase)
        plane[np.hypot(rows, columns + 0.2) + ragged < 0.17 * scale] = 3
        plane[radius < 0.2 * scale] = 2
        plane[radius < 0.14 * scale] = 1
        plane[np.hypot(rows - 0.3, columns - 0.2) + ragged < 0.1 * scale] = 4
        for row, column in draws.integers(0, side - 4, (20, 2)):
            plane[row : row + 3, column : column + 3] = draws.integers(1, _FOREGROUND + 1)
        plane[tuple(draws.integers(0, side, (2, 20)))] = draws.integers(0, _FOREGROUND + 1, 20)
    confidence = (1 - 0.4 * draws.random(classes.shape, dtype=np.float32)).astype(np.float32)
    return classes, confidence


def _row(*, side: int, slices: int) -> dict[str, Any]:
    from sss_model.config import Pcsw
    from sss_model.pcsw import generate_prompts
    from sss_model.pcsw.components import find_components

    classes, confidence = noisy_hearts(slices, side)
    arguments: dict[str, Any] = {"foreground": _FOREGROUND, "spacing": _SPACING, "config": Pcsw(enabled=True, warmup=0)}
    prompts = generate_prompts(classes, confidence, **arguments)
    seconds = min(_cpu_seconds(lambda: generate_prompts(classes, confidence, **arguments)) for _ in range(5))
    return {
        "side": side,
        "slices": slices,
        "components": len(find_components(classes, confidence, _FOREGROUND)),
        "prompts": len(prompts.slices),
        "ms_per_slice": round(1000 * seconds / slices, 4),
        "slices_per_second": round(slices / seconds),
    }


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    run_command(command)
