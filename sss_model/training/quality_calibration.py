"""Learning what a prediction's signs are worth, from validation patients: never from those that are tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sss_model.data.manifest import Case
from sss_model.evaluation.confusion import count_confusion
from sss_model.inference.predictor import Predictor
from sss_model.inference.quality import QualityFit, Signs, fit_quality, foreground, score_of
from sss_model.io.volumes import read_pair


class Trial(NamedTuple):
    """A labelled scan's prediction: its signs, and the Dice of each foreground class, NaN where it is nowhere."""

    case: Case
    signs: Signs
    dice: np.ndarray
    present: np.ndarray
    """(classes,) bool: whether the label has the class."""
    warnings: tuple[str, ...]


def calibrate(
    predictor: Predictor, cases: Sequence[Case], *, labels: Mapping[str, int], data_dir: Path
) -> QualityFit | None:
    """Predict validation scans on their own grids, as `sss predict` would, and fit Dice to the signs.

    Args:
        cases: validation scans that have a label.
        labels: class name to integer, background 0.

    Returns:
        None where there are too few, see `fit_quality`.
    """
    return fit_trials(list(tried(predictor, cases, labels=labels, data_dir=data_dir)), labels)


def tried(predictor: Predictor, cases: Sequence[Case], *, labels: Mapping[str, int], data_dir: Path) -> Iterator[Trial]:
    """Predict labelled scans and compare, one at a time."""
    for case in cases:
        image, truth = read_pair(data_dir / case.image, data_dir / str(case.label), case.case)
        judged = predictor.judge(image)
        dice, present = _compare(truth.array, judged.segmentation.mask.array, len(labels))
        yield Trial(case, judged.signs, dice, present, judged.warnings)


def fit_trials(trials: Sequence[Trial], labels: Mapping[str, int]) -> QualityFit | None:
    """The fit of some trials; the classes that all of them have are those that a mask must have."""
    names = foreground(labels)
    always = [name for index, name in enumerate(names) if trials and all(trial.present[index] for trial in trials)]
    scores = np.array([score_of(trial.signs, names, always) for trial in trials])
    dice = np.array([mean_dice(trial) for trial in trials])
    return fit_quality(scores, dice, [trial.case.patient for trial in trials], always)


def mean_dice(trial: Trial) -> float:
    """Over the classes that are in label or mask; NaN where none is."""
    return float(np.nanmean(trial.dice)) if not np.isnan(trial.dice).all() else float("nan")


def _compare(truth: np.ndarray, mask: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    table = count_confusion(truth, mask, classes)
    sizes = table.sum(0) + table.sum(1)
    dice = np.divide(2 * table.diagonal(), sizes, out=np.full(classes, np.nan), where=sizes > 0)
    return dice[1:], table.sum(1)[1:] > 0
