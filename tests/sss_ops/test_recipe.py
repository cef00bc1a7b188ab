from pathlib import Path

import pytest

from sss_model.config import load_config
from sss_model.errors import InputError
from sss_ops.recipe import CONFIGS, FORM_KEYS, recipe_of_run, recipe_text

UNTOUCHED = dict.fromkeys(FORM_KEYS, 0)


def test_an_untouched_form_leaves_the_recipe_as_it_is() -> None:
    assert recipe_of_run("cpu/acdc", UNTOUCHED) == load_config(CONFIGS / "cpu/acdc.yaml")
    assert recipe_of_run("cpu/acdc", dict.fromkeys(FORM_KEYS, "")) == load_config(CONFIGS / "cpu/acdc.yaml")


def test_what_is_set_replaces_the_recipe_s_own() -> None:
    config = recipe_of_run("cpu/acdc", {**UNTOUCHED, "labelled_patients": 3, "encoder": "tiny", "min_dice": 0.5})
    assert (config.data.labelled, config.model.encoder, config.register_as.min_dice) == (3, "tiny", 0.5)


def test_minus_one_is_all_patients() -> None:
    assert recipe_of_run("cpu/acdc", {"labelled_patients": -1}).data.labelled is None


@pytest.mark.parametrize(
    ("recipe", "budget", "other"), [("acdc", "minutes", "steps"), ("cpu/acdc", "steps", "minutes")]
)
def test_one_budget_replaces_the_other(recipe: str, budget: str, other: str) -> None:
    train = recipe_of_run(recipe, {budget: 7}).train
    assert (getattr(train, budget), getattr(train, other)) == (7, None)


def test_both_budgets_at_once_are_refused() -> None:
    with pytest.raises(InputError, match="steps and minutes: both are set; expected one"):
        recipe_of_run("cpu/acdc", {"steps": 10, "minutes": 1.0})


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"recipe: found 'acdcc'; expected one of acdc, .*cpu/acdc, .*phantom"):
        recipe_of_run("acdcc", {})


def test_a_value_that_the_recipe_can_t_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.size"):
        recipe_of_run("cpu/acdc", {"image_size": 100})


def test_a_recipe_survives_as_text(tmp_path: Path) -> None:
    config = recipe_of_run("cpu/acdc", {"steps": 10})
    path = tmp_path / "params.yaml"
    path.write_text(recipe_text(config))
    assert load_config(path) == config
    assert recipe_of_run(str(path), {}) == config
