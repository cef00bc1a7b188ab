"""How well a predicted mask agrees with the truth: overlaps, and surface distances in millimetres."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from sss_model.manifest import Case
from sss_model.masks import crop_pair, overlap
from sss_model.ssl4mis import score_ssl4mis
from sss_model.volumes import Volume

Status = Literal["scored", "missed", "invented", "not_applicable"]
RULES = (
    "A structure that is absent from both label and prediction is not applicable and in no mean; one that was missed "
    "or invented counts with Dice and Jaccard 0 and with the volume's diagonal as both distances; for the SSL4MIS "
    "numbers an empty mask sets all four values to 0."
)


class Agreement(NamedTuple):
    """One structure of one volume: overlaps 0 to 1 and distances in mm; all None where nothing can be measured."""

    status: Status
    dice: float | None
    jaccard: float | None
    hd95_mm: float | None
    asd_mm: float | None


@dataclass(frozen=True)
class Score:
    """One structure of one case: a row of ``cases.csv``, where `class_name` is the column ``class``.

    Attributes:
        prompt_source: where the model's prompts came from: none, generated or oracle.
        status: scored; missed (only in the truth), invented (only in the prediction), not_applicable (in neither).
        dice, jaccard, hd95_mm, asd_mm: see `measure`; None where not applicable.
        ssl4mis_dice, ssl4mis_jaccard, ssl4mis_hd95_voxel, ssl4mis_asd_voxel: see `sss_model.ssl4mis`.
    """

    case: str
    patient: str
    group: str
    class_name: str
    prompt_source: str
    status: Status
    dice: float | None
    jaccard: float | None
    hd95_mm: float | None
    asd_mm: float | None
    ssl4mis_dice: float
    ssl4mis_jaccard: float
    ssl4mis_hd95_voxel: float
    ssl4mis_asd_voxel: float

    def row(self) -> dict[str, Any]:
        """Column name to value, in the order of ``cases.csv``."""
        return {"class" if name == "class_name" else name: value for name, value in asdict(self).items()}


def score_case(
    truth: Volume, prediction: Volume, labels: Mapping[str, int], *, case: Case, prompt_source: str = "none"
) -> list[Score]:
    """Score every foreground class of one case, in the order of `labels`.

    Args:
        truth, prediction: label maps on one grid.
        labels: class name to integer, background 0.
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
        literature = score_ssl4mis(*pair)
        agreement = measure(*pair, spacing=spacing)
        scores.append(
            Score(case.case, case.patient, case.group, name, prompt_source, *agreement, *literature),
        )
    return scores


def measure(truth: np.ndarray, prediction: np.ndarray, *, spacing: tuple[float, ...]) -> Agreement:
    """Compare two masks of one structure.

    Surfaces and distances are MONAI's, in mm. `hd95_mm` is the greater of the two directed 95th percentiles; `asd_mm`
    is symmetric: the mean over the surface distances of both directions put together. `RULES` states what happens to
    empty masks.

    Args:
        truth, prediction: boolean masks of one shape, 3-D (or 2-D for a single slice).
        spacing: mm per axis.
    """
    if not truth.any() and not prediction.any():
        return Agreement("not_applicable", None, None, None, None)
    if not truth.any() or not prediction.any():
        diagonal = float(np.linalg.norm(np.multiply(truth.shape, spacing)))
        return Agreement("missed" if truth.any() else "invented", 0.0, 0.0, diagonal, diagonal)
    return Agreement("scored", *overlap(truth, prediction), *_surface_distances(truth, prediction, spacing))


def _surface_distances(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_distance import compute_average_surface_distance

    # MONAI's masks are batches of one-hot channels.
    y, y_pred = (mask[np.newaxis, np.newaxis] for mask in crop_pair(truth, prediction))
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it passes itself.
        warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
        hd95 = compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95, spacing=spacing)
        asd = compute_average_surface_distance(y_pred, y, include_background=True, symmetric=True, spacing=spacing)
    return float(hd95), float(asd)
