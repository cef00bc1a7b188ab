"""Checkpoints of before today's recipe can still be read, scored and promoted."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config, Evaluation, dump_config, load_config, parse_config
from sss_model.errors import InputError
from sss_model.evaluate import evaluate
from sss_model.older_recipes import brought_up

# The phantom's recipe of the first version. What is added to Config later must have its place in older_recipes.py.
FIRST: dict[str, Any] = {
    "seed": 0,
    "data": {
        **{"name": "phantom", "labelled": 2, "spacing_mm": 1.5, "size": 96, "neighbours": True},
        "clip_percentiles": [0.5, 99.5],
    },
    "model": {
        **{"encoder": "micro", "version": "2.1", "checkpoint": None, "freeze_encoder": False},
        "decoder_channels": 16,
    },
    "views": {
        **{"rotation_degrees": 30, "scale": 0.2, "shift": 0.1, "flips": True, "contrast": 0.4, "brightness": 0.4},
        **{"gamma": 0.4, "noise": 0.2, "cutmix": 0.5},
    },
    "train": {
        **{"method": "weak_to_strong", "steps": 600, "minutes": None, "batch": 8, "unlabelled_batch": 8, "lr": 0.004},
        **{"weight_decay": 0.01, "warmup": 0.03, "ema_decay": 0.99, "confidence": 0.9, "unlabelled_weight": 1.0},
        **{"ramp": 0.15, "precision": "auto", "val_every": 100, "save_minutes": 2},
    },
    "predict": {"flips": True, "batch": 32},
    "validation": {"min_labelled_patients": 2, "min_test_patients": 2},
    "register": {"experiment": "sss", "model": "sss-phantom"},
}
LATER_SECTIONS = ("evaluation", "gate", "unimatch", "sss", "pcsw")


def test_the_first_recipe_there_was_is_read_and_means_what_it_meant() -> None:
    config = parse_config(brought_up(FIRST), where="meta.json")
    assert config.train.encoder_lr == 0.004
    assert config.train.unlabelled_from == 0
    assert config.model.network == "sam2"
    assert (config.sss.memory, config.pcsw.enabled) == (False, False)
    assert config.evaluation == Evaluation(tolerance_mm=2.0, band_mm=10.0, ejection_class=None)


def test_a_recipe_of_today_is_left_as_it_is() -> None:
    today = dump_config(load_config(Path("params.yaml")))
    assert brought_up(today) == today


def test_the_memory_s_steps_have_another_name_now() -> None:
    recipe = dump_config(load_config(Path("params.yaml")))
    del recipe["sss"]["clip_every"], recipe["sss"]["memory_shapes_features"]
    recipe["sss"]["memory_every"] = 4
    before = deepcopy(recipe)
    config = parse_config(brought_up(recipe), where="meta.json")
    assert (config.sss.clip_every, config.sss.memory_shapes_features) == (4, True)
    assert recipe == before


def test_what_was_asked_for_from_the_start_is_still_missed() -> None:
    recipe = deepcopy(FIRST)
    del recipe["data"]["size"]
    with pytest.raises(InputError, match=r"meta\.json: missing key data\.size"):
        parse_config(brought_up(recipe), where="meta.json")


@pytest.mark.parametrize("section", LATER_SECTIONS)
def test_a_recipe_in_a_file_must_still_have_every_section(section: str, tmp_path: Path) -> None:
    recipe = dump_config(load_config(Path("params.yaml")))
    del recipe[section]
    (tmp_path / "params.yaml").write_text(json.dumps(recipe))
    with pytest.raises(InputError, match=f"missing key {section}"):
        load_config(tmp_path / "params.yaml")


def test_an_older_checkpoint_is_evaluated(
    checkpoint: Path, phantom: Path, manifest: Any, recipe: Any, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    meta = json.loads((folder / "meta.json").read_text())
    for section in LATER_SECTIONS:
        del meta["config"][section]
    for key in ("device", "processes", "precision", "images", "fingerprint"):
        del meta[key]
    (folder / "meta.json").write_text(json.dumps(meta))
    loaded = load_checkpoint(folder)
    now: Config = recipe()
    assert loaded.config.data == now.data
    summary = evaluate(
        folder,
        data_dir=phantom,
        manifest=manifest,
        output=tmp_path / "evaluation",
        predictions=tmp_path / "predictions",
        metrics=tmp_path / "metrics.json",
    )
    assert summary["tolerance_mm"] == 2.0
    assert "patients alone" in summary["leak_check"]
