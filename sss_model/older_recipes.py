"""Recipes inside older checkpoints, brought up to what is asked for now.

A recipe in a file must spell every key, so that nobody trains by a value that he never saw. A checkpoint's recipe was
whole when it was written; what came later is given the value that describes what the code did before there was a
choice, or, for sections that no training reads, the value that is documented.
"""

from __future__ import annotations

from typing import Any

_OFF: dict[str, dict[str, Any]] = {
    # Methods of their own, which older checkpoints can't have been trained by.
    "unimatch": {"confidence": 0.95, "feature_dropout": 0.5},
    "sss": {
        **{"clip": 1, "clip_every": 1, "enhancement": False, "pair": 0.0, "channel_dropout": 0.0},
        **{"memory": False, "memory_alone": 0.0, "memory_shapes_features": False},
        **{"bank": 1, "reads": 1, "jitter": 0.0},
        **{"mask_weight": 0.0, "iou_weight": 0.0},
    },
    "pcsw": {"enabled": False, "warmup": 0.0},
    # What evaluation and promotion read.
    "evaluation": {"tolerance_mm": 2.0, "band_mm": 10.0, "ejection_class": None},
    "gate": {
        **{"min_patients": 2, "min_dice": 0.0, "margin": 0.05, "class_margins": {}},
        **{"confidence": 0.95, "resamples": 10000},
    },
}
"""Sections that came later; they are given to recipes that lack all of one."""

_BEFORE: dict[str, dict[str, Any]] = {
    "data": {"window": None, "colour": False},
    "model": {"network": "sam2", "freeze_decoder": False, "context": False, "proportions": False},
    "views": {"bulge": 0.0, "cutmix_labelled": 0.0},
    "train": {
        **{"init_from": None, "unlabelled_from": 0.0, "micro_batch": None, "gradient_checkpointing": False},
        **{"turn_from": 1.0, "proportions_at": []},
    },
    "predict": {"turns": 1, "largest": False},
    "sss": {"memory_shapes_features": True, "memory_alone": 0.0},
    "register": {"min_dice": 0.0},
}
"""Keys that came later than their section."""


def brought_up(recipe: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's recipe with the keys that came after it was written; what it has is kept.

    >>> brought_up({"data": {"name": "phantom"}})["data"]
    {'window': None, 'colour': False, 'name': 'phantom'}
    """
    whole = {**_OFF, **recipe}
    for section, keys in _BEFORE.items():
        if isinstance(whole.get(section), dict):
            whole[section] = {**keys, **whole[section]}
    _encoder_learned_as_all_did(whole)
    _memory_took_part_in_some_steps(whole)
    return whole


def _encoder_learned_as_all_did(recipe: dict[str, Any]) -> None:
    train = recipe.get("train")
    if isinstance(train, dict) and "lr" in train:
        train.setdefault("encoder_lr", train["lr"])


def _memory_took_part_in_some_steps(recipe: dict[str, Any]) -> None:
    """``memory_every`` became ``clip_every``, when clips came to be seen in the same steps alone."""
    sss = recipe["sss"]
    if isinstance(sss, dict) and "clip_every" not in sss:
        sss["clip_every"] = sss.pop("memory_every", 1)
