from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sss_model.config import dump_config, load_config, parse_config
from sss_model.errors import InputError


@pytest.mark.parametrize("recipe", ["params.yaml", *map(str, sorted(Path("configs").rglob("*.yaml")))])
def test_every_recipe_is_whole(recipe: str) -> None:
    config = load_config(Path(recipe))
    assert parse_config(dump_config(config), where="round trip") == config


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"train.stpes": 10}, r"unknown key train\.stpes"),
        ({"trian": {}}, r"unknown key trian"),
        ({"train.steps": None, "train.minutes": None}, "exactly one of steps and minutes"),
        ({"train.steps": 5, "train.minutes": 5}, "exactly one of steps and minutes"),
        ({"train.method": "magic"}, r"train\.method: .*'supervised'.* found 'magic'"),
        ({"data.size": 100}, r"data\.size: .*multiple of 32, found 100"),
        ({"train.batch": 3}, r"train\.batch: .*multiple of 2, found 3"),
        ({"data.clip_percentiles": [99, 1]}, r"data: .*low one first"),
        ({"data.window": [80, 0]}, r"data: window must be the lowest and the highest"),
        ({"data.colour": True}, r"data: colour and neighbours both ask"),
        ({"train.method": "sss", "model.network": "unet"}, "method sss needs model.network sam2"),
        ({"model.checkpoint": "sam2.pt", "model.network": "unet"}, "model.checkpoint .* needs model.network sam2"),
        ({"train.gradient_checkpointing": True, "model.network": "unet"}, "needs model.network sam2"),
    ],
)
def test_a_wrong_key_or_value_is_named(overrides: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        load_config(Path("configs/phantom.yaml"), overrides)
    assert str(caught.value).startswith("configs/phantom.yaml: ")


def test_a_wrong_budget_is_told_without_the_whole_section() -> None:
    with pytest.raises(InputError) as caught:
        load_config(Path("configs/phantom.yaml"), {"train.steps": 5, "train.minutes": 5})
    sentence = "train: exactly one of steps and minutes must be set, the other null"
    assert str(caught.value) == f"configs/phantom.yaml: {sentence}"


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    raw = yaml.safe_load(Path("configs/phantom.yaml").read_text())
    del raw["data"]["size"]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError, match=r"missing key data\.size"):
        load_config(path)


@pytest.mark.parametrize("text", ["- a list", "{unclosed: ", "\x00"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml: "):
        load_config(path)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "params.yaml")


@pytest.mark.parametrize("groups", [[["p1"]], [["p1", "p2"], ["p2", "p3"]]])
def test_one_person_has_several_names_and_a_name_one_person(groups):
    with pytest.raises(InputError, match=r"data_checks\.same_person: each entry must name two or more patients"):
        load_config(Path("configs/phantom.yaml"), {"data_checks.same_person": groups})
