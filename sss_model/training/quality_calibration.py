"""Calibration of predicted quality on validation patients, never on test patients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sss_model.data.manifest import Case
from sss_model.evaluation.confusion import count_confusion
from sss_model.inference.predictor import Predictor
from sss_model.inference.quality import QualityFeatures, QualityFit, fit_quality, foreground, quality_score
from sss_model.io.volumes import read_pair


class LabelledPrediction(NamedTuple):
    """The prediction of a labelled scan, compared with its label.

    Attributes:
        features: what the prediction says of its own quality.
        dice: (classes,) Dice of each foreground class, NaN where label and mask have none of it.
        present: (classes,) bool, whether the label has the class.
        warnings: how the scan differs from those of the training.
    """

    case: Case
    features: QualityFeatures
    dice: np.ndarray
    present: np.ndarray
    warnings: tuple[str, ...]


def calibrate(
    predictor: Predictor, cases: Sequence[Case], *, labels: Mapping[str, int], data_dir: Path
) -> QualityFit | None:
    """Predict validation scans on their own grids, as `sss predict` does, and fit Dice to the quality features.

    Args:
        cases: validation scans that have a label.
        labels: class name to integer, background 0.

    Returns:
        None where there are too few, see `fit_quality`.
    """
    return fit_predictions(list(predict_labelled(predictor, cases, labels=labels, data_dir=data_dir)), labels)


def predict_labelled(
    predictor: Predictor, cases: Sequence[Case], *, labels: Mapping[str, int], data_dir: Path
) -> Iterator[LabelledPrediction]:
    """Predict labelled scans and compare them with their labels, one at a time."""
    for case in cases:
        image, truth = read_pair(data_dir / case.image, data_dir / str(case.label), case.case)
        assessed = predictor.assess(image)
        dice, present = _compare(truth.array, assessed.segmentation.mask.array, len(labels))
        yield LabelledPrediction(case, assessed.features, dice, present, assessed.warnings)


def fit_predictions(predictions: Sequence[LabelledPrediction], labels: Mapping[str, int]) -> QualityFit | None:
    """Fit Dice to scores; the classes that every label has are those that a mask must have."""
    names = foreground(labels)
    always = [
        name for index, name in enumerate(names) if predictions and all(one.present[index] for one in predictions)
    ]
    scores = np.array([quality_score(one.features, names, always) for one in predictions])
    dice = np.array([mean_dice(one) for one in predictions])
    return fit_quality(scores, dice, [one.case.patient for one in predictions], always)


def mean_dice(prediction: LabelledPrediction) -> float:
    """Mean Dice over the classes in label or mask; NaN where there is none."""
    return float(np.nanmean(prediction.dice)) if not np.isnan(prediction.dice).all() else float("nan")


def _compare(truth: np.ndarray, mask: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    table = count_confusion(truth, mask, classes)
    sizes = table.sum(0) + table.sum(1)
    dice = np.divide(2 * table.diagonal(), sizes, out=np.full(classes, np.nan), where=sizes > 0)
    return dice[1:], table.sum(1)[1:] > 0
