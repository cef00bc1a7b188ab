"""Oracle prompts: boxes from the test labels, as interactive segmentation is measured.

Their scores are those of a perfect user, never the model's own, and no promotion rests on them: the rows say
``oracle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import Case, Manifest
from sss_model.data.preprocessing import label_slices
from sss_model.evaluation.leaks import check_evaluable
from sss_model.evaluation.metrics import Score, score_case
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_pair
from sss_model.network.prompts import (
    BOX_CORNER,
    BOX_OPPOSITE,
    NOTHING,
    POINT_INSIDE,
    STRIDE,
    PromptBatch,
    cell_coverage,
)


def oracle_scores(checkpoint: Path, *, data_dir: Path, manifest: Manifest, every: int) -> list[Score]:
    """Score the test cases with a box round each class on every so many slices.

    Args:
        checkpoint: its folder.
        data_dir: the data set's folder, which the manifest's paths are relative to.
        every: 1 prompts each slice, 2 every other one, from the first on.

    Raises:
        InputError: the checkpoint takes no prompts, or saw a test patient.
    """
    loaded = load_checkpoint(checkpoint)
    cases: Sequence[Case] = manifest.split("test")
    check_evaluable(loaded.meta, manifest.labels, cases, split="test")
    predictor, data = Predictor(loaded), loaded.config.data
    scores = []
    for case in cases:
        image, truth = read_pair(data_dir / case.image, data_dir / str(case.label), case.case)
        drawn = label_slices(truth, data, data.size, len(manifest.labels))
        prompts = box_prompts(drawn, foreground=len(manifest.labels) - 1, every=every)
        mask, _, source = predictor.segment_prompted(image, prompts)
        scores += score_case(truth, mask, manifest.labels, case=case, prompt_source=source)
    return scores


def box_prompts(labels: np.ndarray, *, foreground: int, every: int) -> PromptBatch:
    """A tight box round each class of a slice, on every so many slices.

    The memory decoder was trained on boxes with a point and a mask, so both are added, made from the box alone: its
    middle and its inside. No more of the label is given away.

    Args:
        labels: (D, S, S) class indices of a volume's slices.
        foreground: number of classes without background.
        every: as of `oracle_scores`.
    """
    depth, side, _ = labels.shape
    points, kinds = torch.zeros(depth, foreground, 1, 3, 2), torch.full((depth, foreground, 1, 3), NOTHING)
    masks = torch.zeros(depth, foreground, 1, side // STRIDE, side // STRIDE)
    for z in range(0, depth, every):
        for number in np.setdiff1d(np.unique(labels[z]), [0]):
            rows, columns = np.nonzero(labels[z] == number)
            top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
            middle = ((left + right) / 2, (top + bottom) / 2)
            # Sides of a box lie on pixels' edges; SAM counts from a pixel's middle.
            corners = ((left - 0.5, top - 0.5), (right + 0.5, bottom + 0.5))
            at = z, int(number) - 1, 0
            points[at] = torch.tensor([middle, *corners])
            kinds[at] = torch.tensor([POINT_INSIDE, BOX_CORNER, BOX_OPPOSITE])
            inside = torch.zeros(side, side, dtype=torch.bool)
            inside[top : bottom + 1, left : right + 1] = True
            masks[at] = cell_coverage(inside[None])[0]
    return PromptBatch(points, kinds, masks)
