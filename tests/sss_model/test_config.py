from __future__ import annotations

from pathlib import Path

import pytest

from sss_model.config import SECTIONS, Sss, dump_config, load_config, parse_config
from sss_model.errors import InputError


@pytest.mark.parametrize("recipe", ["params.yaml", *map(str, sorted(Path("configs").rglob("*.yaml")))])
def test_every_recipe_is_read_back_from_its_dump(recipe: str) -> None:
    config = load_config(Path(recipe))
    assert parse_config(dump_config(config), where="round trip") == config


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"train.stpes": 10}, r"unknown key train\.stpes"),
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


def test_what_a_recipe_leaves_out_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("data: {name: liver}\ntrain: {steps: 10}\nsss:  # nothing differs\nregister: {model: mine}\n")
    config = load_config(path)
    assert (config.seed, config.data.size, config.sss) == (0, 256, Sss())
    assert (config.register_as.experiment, config.register_as.model) == ("liver", "mine")


def test_every_key_has_a_default_and_a_sentence() -> None:
    for section in SECTIONS.values():
        for name, field in section.model_fields.items():
            assert not field.is_required(), name
            assert field.description, name
            assert field.description.endswith("."), name


@pytest.mark.parametrize(
    ("overrides", "suggested"),
    [
        ({"train.learning_rat": 1}, "train.learning_rat; did you mean train.lr?"),
        ({"train.learning_rate": 1}, "train.learning_rate; did you mean train.lr?"),
        ({"predict.flip": True}, "predict.flip; did you mean predict.flips?"),
        ({"unimatch.confidnce": 1}, "unimatch.confidnce; did you mean unimatch.confidence?"),
        ({"sede": 1}, "sede; did you mean seed?"),
        ({"train.size": 64}, "train.size; did you mean data.size?"),
        ({"lr": 0.1}, "lr; did you mean train.lr?"),
        ({"trian": {}}, "trian; did you mean train?"),
        ({"limits.min_test_patients": 5}, "limits; did you mean data_checks?"),
        ({"sss.qqqqqqqqqqqqqqqqqqqqqq": 1}, "sss.qqqqqqqqqqqqqqqqqqqqqq; `sss config show` lists all keys"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(overrides: dict[str, object], suggested: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config(Path("configs/phantom.yaml"), overrides)
    assert str(caught.value) == f"configs/phantom.yaml: unknown key {suggested}"


def test_a_section_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("train: 3\n")
    with pytest.raises(InputError, match=r"train: .*found 3"):
        load_config(path, {"train.steps": 10})


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
