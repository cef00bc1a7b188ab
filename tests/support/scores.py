"""Rows of ``cases.csv``, written by hand."""

from __future__ import annotations

from typing import Any

from sss_model.evaluation.metrics import Score


def score(case: str, class_name: str, dice: float | None, *, group: str = "", **values: Any) -> Score:
    """A row whose distances follow from its Dice, unless `values` say otherwise."""
    distance = None if dice is None else 10 * (1 - dice)
    row = {
        "patient": case.split("_")[0],
        "prompt_source": "none",
        "status": "not_applicable" if dice is None else "scored",
        "jaccard": None if dice is None else dice / (2 - dice),
        "hd95_mm": distance,
        "asd_mm": distance,
        "nsd": dice,
        "truth_ml": 0.0 if dice is None else 100.0,
        "predicted_ml": 0.0 if dice is None else 100.0 + 10 * dice,
        "volume_error_ml": 0.0 if dice is None else 10 * dice,
        "ssl4mis_dice": dice or 0.0,
        "ssl4mis_jaccard": 0.0,
        "ssl4mis_hd95_voxel": 0.0,
        "ssl4mis_asd_voxel": 0.0,
    }
    return Score(case=case, class_name=class_name, group=group, dice=dice, **(row | values))
