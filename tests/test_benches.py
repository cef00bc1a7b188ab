"""What the benches would only say after hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.ablation import LADDER
from bench.step import ROUND
from sss_model.config import load_config
from sss_ops.experiments.cells import by_method

RECIPE = Path("configs/cpu/acdc.yaml")


@pytest.mark.parametrize("rung", LADDER)
def test_every_rung_of_the_ablation_is_a_recipe(rung: str) -> None:
    load_config(RECIPE, LADDER[rung])


def test_no_two_rungs_of_the_ablation_are_the_same_recipe() -> None:
    recipes = [load_config(RECIPE, changes).model_dump_json() for changes in LADDER.values()]
    assert len(set(recipes)) == len(recipes)


@pytest.mark.parametrize("recipe", ["acdc", "bhsd", "refuge", "btcv"])
def test_clips_are_as_frequent_in_the_benches_as_in_the_recipes_for_gpus(recipe: str) -> None:
    clip_every = load_config(Path(f"configs/{recipe}.yaml")).sss.clip_every
    assert clip_every == ROUND == LADDER["full, in clips"]["sss.clip_every"]


def test_unimatch_is_compared_on_its_u_net_and_the_others_on_the_recipes_network() -> None:
    recipe = load_config(RECIPE)
    networks = {
        method: load_config(RECIPE, by_method(method, recipe)).model.network
        for method in ("supervised", "weak_to_strong", "unimatch", "sss")
    }
    assert networks == {"supervised": "sam2", "weak_to_strong": "sam2", "unimatch": "unet", "sss": "sam2"}


def test_a_recipe_that_is_unimatchs_keeps_its_network() -> None:
    recipe = load_config(RECIPE, {"train.method": "unimatch", "model.network": "sam2"})
    assert by_method("unimatch", recipe) == {"train.method": "unimatch"}
