"""`sss config show`: a recipe with its defaults, and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import ROOT
from typer.testing import CliRunner

from sss_model.config import load_config
from sss_ops.cli import app
from sss_ops.recipe import CONFIGS
from sss_ops.recipe_keys import recipe_keys

NAMES = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml"))


def shown(*words: str) -> str:
    done = CliRunner().invoke(app, ["config", "show", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", [[], ["--diff"]])
def test_what_is_shown_is_the_same_recipe(name: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(shown(name, *words))
    assert load_config(path) == load_config(CONFIGS / f"{name}.yaml")
    assert max(map(len, path.read_text().splitlines())) <= 120


@pytest.mark.parametrize("words", [[], ["--diff"]])
def test_a_recipe_is_written_to_a_file(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    assert shown("cpu/acdc", "--out", str(path), *words) == ""
    assert load_config(path) == load_config(CONFIGS / "cpu/acdc.yaml")
    assert ("weight_decay" in path.read_text()) == (not words)


def test_every_key_is_shown_with_its_default_and_what_differs_comes_first() -> None:
    lines = shown(str(ROOT / "configs/cpu/acdc.yaml")).splitlines()
    head = lines[: lines.index("")]
    assert head[0].endswith(f"cpu/acdc.yaml: 18 of {len(recipe_keys())} keys differ from the defaults.")
    assert head[1:4] == ["#   data.name: acdc", "#   data.labelled: 7", "#   data.size: 128"]
    assert "  size: 128  # default 256; pixels; at least 32, multiple of 32" in lines
    assert "  spacing_mm: 1.5  # default; mm; above 0" in lines
    assert "  # In-plane pixel spacing that every slice is resampled to." in lines


def test_names_that_follow_from_the_data_do_not_differ() -> None:
    assert "register" not in shown("acdc", "--diff")
    assert "  model: sss-acdc  # default" in shown("acdc").splitlines()
