"""Agreement of a predicted mask with the label: overlaps, surface distances in mm, volumes in ml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from sss_model.data.manifest import Case
from sss_model.evaluation.ssl4mis import score_ssl4mis
from sss_model.evaluation.surfaces import compare_surfaces, overlap
from sss_model.io.volumes import Volume

Status = Literal["scored", "missed", "invented", "not_applicable"]
TOLERANCE_MM = 2.0
RULES = (
    "A structure that is absent from both label and prediction is not applicable and in no mean; one that was missed "
    "or invented counts with Dice, Jaccard and surface Dice 0 and with the volume's diagonal as both distances; for "
    "the SSL4MIS numbers an empty mask sets all four values to 0."
)


class Agreement(NamedTuple):
    """One structure of one volume: shares 0 to 1 and distances in mm; all None where nothing can be measured."""

    status: Status
    dice: float | None
    jaccard: float | None
    hd95_mm: float | None
    asd_mm: float | None
    nsd: float | None


@dataclass(frozen=True)
class Score:
    """One structure of one case: a row of ``cases.csv``, where `class_name` is the column ``class``.

    Attributes:
        prompt_source: where the model's prompts came from: none, generated or oracle.
        status: scored; missed (only in the truth), invented (only in the prediction), not_applicable (in neither).
        dice, jaccard, hd95_mm, asd_mm, nsd: see `measure`; None where not applicable.
        truth_ml, predicted_ml, volume_error_ml: the structure's volumes, 0 where absent, and predicted minus true.
        ssl4mis_dice, ssl4mis_jaccard, ssl4mis_hd95_voxel, ssl4mis_asd_voxel: see `sss_model.evaluation.ssl4mis`.
    """

    case: str
    patient: str
    group: str
    class_name: str = field(metadata={"column": "class"})
    prompt_source: str
    status: Status
    dice: float | None
    jaccard: float | None
    hd95_mm: float | None
    asd_mm: float | None
    nsd: float | None
    truth_ml: float
    predicted_ml: float
    volume_error_ml: float
    ssl4mis_dice: float
    ssl4mis_jaccard: float
    ssl4mis_hd95_voxel: float
    ssl4mis_asd_voxel: float


def score_case(
    truth: Volume,
    prediction: Volume,
    labels: Mapping[str, int],
    *,
    case: Case,
    tolerance_mm: float = TOLERANCE_MM,
    prompt_source: str = "none",
) -> list[Score]:
    """Score every foreground class of one case, in the order of `labels`.

    Args:
        truth, prediction: label maps on one grid.
        labels: class name to integer, background 0.
        tolerance_mm: see `measure`.
        prompt_source: none, generated or oracle.
    """
    # A single slice is a 2-D image: along an axis of one voxel all of it would be surface.
    axes = [axis for axis, length in enumerate(truth.array.shape) if length > 1]
    spacing = tuple(truth.spacing[axis] for axis in axes)
    truths, predictions = np.squeeze(truth.array), np.squeeze(prediction.array)
    scores = []
    for name, value in labels.items():
        if value == 0:
            continue
        pair = truths == value, predictions == value
        agreement = measure(*pair, spacing=spacing, tolerance_mm=tolerance_mm)
        volumes = _volumes_ml(*pair, voxel_mm3=float(np.prod(truth.spacing)))
        literature = score_ssl4mis(*pair)
        scores.append(
            Score(case.case, case.patient, case.group, name, prompt_source, *agreement, *volumes, *literature)
        )
    return scores


def measure(
    truth: np.ndarray, prediction: np.ndarray, *, spacing: tuple[float, ...], tolerance_mm: float = TOLERANCE_MM
) -> Agreement:
    """Compare two masks of one structure.

    >>> truth, prediction = np.zeros((2, 8, 8), bool)
    >>> truth[2:6, 2:6] = prediction[2:6, 3:7] = True
    >>> measure(truth, prediction, spacing=(1.5, 1.5)).dice
    0.75
    >>> measure(truth, np.zeros_like(truth), spacing=(1.5, 1.5)).status
    'missed'

    `hd95_mm`, `asd_mm` and `nsd` are those of `sss_model.evaluation.surfaces`; `RULES` states the rule for empty masks.

    Args:
        truth, prediction: boolean masks of one shape, 3-D (or 2-D for a single slice).
        spacing: mm per axis.
        tolerance_mm: surface voxels this near to the other surface agree.
    """
    if not truth.any() and not prediction.any():
        return Agreement("not_applicable", None, None, None, None, None)
    if not truth.any() or not prediction.any():
        diagonal = float(np.linalg.norm(np.multiply(truth.shape, spacing)))
        return Agreement("missed" if truth.any() else "invented", 0.0, 0.0, diagonal, diagonal, 0.0)
    surfaces = compare_surfaces(truth, prediction, spacing=spacing, tolerance_mm=tolerance_mm)
    return Agreement("scored", *overlap(truth, prediction), *surfaces)


def _volumes_ml(truth: np.ndarray, prediction: np.ndarray, *, voxel_mm3: float) -> tuple[float, float, float]:
    true, predicted = (np.count_nonzero(mask) * voxel_mm3 / 1000 for mask in (truth, prediction))
    return true, predicted, predicted - true
