"""Warning about a class that PCSW keeps rejecting, and that therefore learns nothing from unlabelled scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class AcceptanceWatch:
    """State of the warning between steps; start with the `names` alone.

    Attributes:
        names: of the foreground classes.
        threshold: mean acceptance below which a class is reported.
        patience: steps that predict a class before it can be; also the memory of the mean, in steps.
        means: acceptance of each class, an exponential mean after the first `patience` steps.
        steps: how many steps predicted each class.
        reported: whether each class was; it is once.
    """

    names: tuple[str, ...]
    threshold: float = 0.05
    patience: int = 200
    means: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    reported: tuple[bool, ...] = ()


def watch_acceptance(
    watch: AcceptanceWatch, acceptance: Sequence[float] | np.ndarray
) -> tuple[AcceptanceWatch, list[str]]:
    """Take in a step's acceptance, (foreground,) with nan where a class was not predicted; call it after warm-up.

    Returns:
        The new state, and a sentence for each class to warn of now.
    """
    count = len(watch.names)
    means, steps = list(watch.means or (0.0,) * count), list(watch.steps or (0,) * count)
    reported = list(watch.reported or (False,) * count)
    sentences = []
    for index, (name, share) in enumerate(zip(watch.names, map(float, acceptance), strict=True)):
        if np.isnan(share):
            continue
        steps[index] += 1
        means[index] += (share - means[index]) / min(steps[index], watch.patience)
        if steps[index] >= watch.patience and means[index] < watch.threshold and not reported[index]:
            reported[index] = True
            sentences.append(_sentence(name, means[index], watch.patience))
    return replace(watch, means=tuple(means), steps=tuple(steps), reported=tuple(reported)), sentences


def _sentence(name: str, mean: float, steps: int) -> str:
    return (
        f"PCSW kept {mean:.1%} of what was predicted as {name} over the last {steps} logged steps that predicted it, "
        "so this class learns nothing from unlabelled scans: if its structures are thinner than the window, set "
        "pcsw.thin; else lower pcsw.min_confidence or pcsw.min_area_mm2, or raise pcsw.max_shift or pcsw.max_area_ratio"
    )
