"""The recipe that a command line asks for: one of ``configs/``, changed by the flags that were given."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sss_model.config import Config, load_config
from sss_model.data.manifest import Manifest, cohort
from sss_model.errors import InputError
from sss_ops.medical_sam2.flags import CONFIGS, FLAGS
from sss_ops.recipe import CONFIGS as RECIPES

_AT_ONCE = 4  # as in the recipes for GPUs


def settled(chosen: dict[str, Any], *, gpu: bool) -> Config:
    """The recipe, as far as it can be told without the data.

    Args:
        chosen: from `sss_ops.medical_sam2.flags.read_flags`.
        gpu: whether one is seen; without one the small encoder has recipes of its own.

    Raises:
        InputError: flags that don't go together, or no file of weights.
    """
    return load_config(_recipe(chosen, gpu=gpu), _overrides(chosen, load_config(_recipe(chosen, gpu=gpu))))


def fitted(config: Config, chosen: dict[str, Any], manifest: Manifest, *, hounsfield: bool) -> Config:
    """The recipe with what depends on the data.

    A photograph has no millimetres, so the largest one fills the picture. ``-val_freq`` counts epochs, and an epoch's
    steps are known once the labelled slices are. Grey values from 0 up are not seen through a window for CT.

    Args:
        hounsfield: whether intensities are Hounsfield units.

    Raises:
        InputError: fewer patients have labels than ``-labelled`` says.
    """
    data, train = config.data, config.train
    if data.colour:
        widest = max(_widest(case.shape, case.spacing_mm) for case in manifest.cases)
        data = data.model_copy(update={"spacing_mm": widest / data.size})
    if not hounsfield:
        data = data.model_copy(update={"window": None})
    slices = sum(case.slices for case in cohort(manifest, data.labelled).labelled)
    if "val_freq" in chosen:
        epoch = math.ceil(slices / train.batch)
        train = train.model_copy(update={"val_every": chosen["val_freq"] * epoch})
    return config.model_copy(update={"data": data, "train": train})


def _recipe(chosen: dict[str, Any], *, gpu: bool) -> Path:
    encoder, _ = CONFIGS.get(chosen.get("sam_config", ""), ("", ""))
    folder = RECIPES / "cpu" if encoder == "micro" and not gpu else RECIPES
    return folder / f"{chosen['dataset'].lower()}.yaml"


def _overrides(chosen: dict[str, Any], recipe: Config) -> dict[str, Any]:
    made = {key: chosen[flag.name] for flag in FLAGS for key in flag.keys if flag.name in chosen}
    made |= {"data.labelled": chosen.get("labelled"), "model.checkpoint": _checkpoint(chosen)}
    if "sam_config" in chosen:
        made["model.encoder"], made["model.version"] = CONFIGS[chosen["sam_config"]]
    if {"steps", "minutes"} & chosen.keys():
        made |= {"train.steps": chosen.get("steps"), "train.minutes": chosen.get("minutes")}
    return made | _size(chosen, recipe) | _batch(chosen, recipe)


def _size(chosen: dict[str, Any], recipe: Config) -> dict[str, Any]:
    side = chosen.get("image_size", recipe.data.size)
    if chosen.get("out_size", side) != side:
        raise InputError(
            f"-out_size: the loss is at the size of the image, and masks are written on the scan's own grid; expected "
            f"{side}, as the image, or nothing"
        )
    made = {"data.size": side, "data.spacing_mm": recipe.data.size * recipe.data.spacing_mm / side}
    # A recipe for small pictures lets all of a step's through at once: of larger ones that is too much memory.
    if side > recipe.data.size and recipe.train.micro_batch is None:
        made |= {"train.micro_batch": _AT_ONCE, "predict.batch": _AT_ONCE}
    return made


def _batch(chosen: dict[str, Any], recipe: Config) -> dict[str, Any]:
    if "b" not in chosen:
        return {}
    photographs = recipe.data.colour
    slices = chosen["b"] * (1 if photographs else chosen.get("video_length", recipe.sss.clip))
    if slices % 2:
        what = "photographs" if photographs else "slices, -b times -video_length"
        raise InputError(f"-b: {slices} {what}; expected an even number, since CutMix joins them in pairs")
    return {"train.batch": slices, "train.unlabelled_batch": slices}


def _checkpoint(chosen: dict[str, Any]) -> str | None:
    path: Path | None = chosen.get("sam_ckpt")
    if path is None or str(path) == "None":
        return None
    if not path.is_file():
        name = path.stem if "hiera" in path.stem else "small"
        raise InputError(
            f"-sam_ckpt: no file {path}; expected SAM-2's weights, as `sss checkpoint get {name} --to {path.parent}` "
            "fetches them"
        )
    return str(path)


def _widest(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> float:
    """The longer side of a photograph in its own unit, a pixel; its third axis is one slice."""
    return max(voxels * mm for voxels, mm in zip(shape, spacing_mm, strict=True) if voxels > 1)
