"""Recipes by name, and the recipe of a Kubeflow run: one of them with the values of the Create-run form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sss_model.config import Config, dump_config, load_config
from sss_model.errors import InputError
from sss_ops.storage.pretrained import refuse_misfit

CONFIGS = Path(__file__).parents[1] / "configs"

FORM_KEYS = {
    "labelled_patients": "data.labelled",
    "image_size": "data.size",
    "encoder": "model.encoder",
    "checkpoint": "model.checkpoint",
    "method": "train.method",
    "steps": "train.steps",
    "minutes": "train.minutes",
    "min_labelled_patients": "data_checks.min_labelled_patients",
    "min_test_patients": "data_checks.min_test_patients",
    "min_dice": "register.min_dice",
    "experiment": "register.experiment",
    "model_name": "register.model",
}
"""Field of the form to key of the recipe; 0 or an empty text leaves the recipe's own value."""
_ALL_PATIENTS = -1


def recipe_of_run(name: str, form: dict[str, Any]) -> Config:
    """The recipe that a run trains.

    Args:
        name: see `recipe_path`.
        form: values of `FORM_KEYS`; ``labelled_patients`` -1 means all, and a budget in steps replaces one in minutes
            and the other way round.

    Raises:
        InputError: no such recipe, both budgets at once, a value out of bounds, or a checkpoint of another encoder.
    """
    path = recipe_path(name)
    overrides = {FORM_KEYS[field]: value for field, value in form.items() if value}
    if {"train.steps", "train.minutes"} <= overrides.keys():
        raise InputError("steps and minutes: both are set; expected one budget, the other 0")
    if "train.steps" in overrides or "train.minutes" in overrides:
        overrides = {"train.steps": None, "train.minutes": None, **overrides}
    if overrides.get("data.labelled") == _ALL_PATIENTS:
        overrides["data.labelled"] = None
    config = load_config(path, overrides)
    refuse_misfit(config.model)
    return config


def recipe_path(name: str) -> Path:
    """The file of a recipe: a path that ends in .yaml, or a name under ``configs/`` such as ``cpu/acdc``."""
    if name.endswith(".yaml"):
        return Path(name)
    known = sorted(file.relative_to(CONFIGS).with_suffix("").as_posix() for file in CONFIGS.rglob("*.yaml"))
    if name not in known:
        raise InputError(f"recipe: found {name!r}; expected one of {', '.join(known)}, or a .yaml file")
    return CONFIGS / f"{name}.yaml"


def recipe_text(config: Config) -> str:
    """The recipe as text that `sss_model.config.load_config` reads; equal recipes give equal text."""
    return json.dumps(dump_config(config), indent=1)
