"""The command line: commands explain themselves, errors are one sentence; `sss config show` and `sss audit`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
import yaml
from support.paths import ROOT
from support.registered_models import evaluate_in
from typer.testing import CliRunner

from sss_model.config import load_config
from sss_model.data.manifest import write_manifest
from sss_model.errors import InputError
from sss_ops.cli import app
from sss_ops.recipe import CONFIGS, FORM_KEYS, recipe_of_run, recipe_text
from sss_ops.recipe_keys import recipe_keys

SSS = [sys.executable, "-c", "from sss_ops.cli import main; main()"]


def sss(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SSS, *map(str, arguments)], capture_output=True, text=True)


def commands(group: click.Command | None = None, name: str = "sss") -> Iterator[tuple[str, click.Command]]:
    group = group or typer.main.get_command(app)
    for key, command in getattr(group, "commands", {}).items():
        yield f"{name} {key}", command
        yield from commands(command, f"{name} {key}")


def test_the_command_line_imports_nothing_heavy_before_it_is_needed() -> None:
    heavy = {"torch", "monai", "mlflow", "pandas", "numpy", "matplotlib", "nibabel", "dvc", "pydantic"}
    heavy |= {"kfp", "kubernetes", "boto3"}
    program = f"import sys, sss_ops.cli; print(*({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == ""


def test_every_step_is_a_sub_command() -> None:
    steps = {f"sss {step}" for step in ("version-data", "validate-splits", "train", "evaluate", "register")}
    assert steps <= set(dict(commands()))


@pytest.mark.parametrize("name, command", [pair for pair in commands() if not hasattr(pair[1], "commands")])
def test_every_sub_command_explains_itself_with_an_example_that_parses(name: str, command: click.Command) -> None:
    explanation, _, example = (command.help or "").partition("\f")[0].partition("Example: ")
    assert len(explanation.split()) >= 5
    words = [word for word in example.split() if "=" not in word]
    depth = len(name.split())
    assert words[:depth] == name.split()
    command.make_context(name, words[depth:])
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name} says nothing of itself"


def test_input_that_cannot_be_used_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    done = sss("predict", tmp_path / "nowhere", tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*nowhere.*no checkpoint there; expected .*\n", done.stderr)
    assert not (tmp_path / "out").exists()


def test_an_unknown_key_in_the_recipe_is_named(tmp_path: Path, phantom: Path) -> None:
    recipe = yaml.safe_load(Path("configs/phantom.yaml").read_text())
    recipe["train"]["learning_rate"] = 1
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(recipe))
    done = sss(
        "train", "--data-dir", phantom, "--params", tmp_path / "params.yaml", "--output", tmp_path / "checkpoint"
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*unknown key train\.learning_rate; did you mean train\.lr\?\n", done.stderr)
    assert not (tmp_path / "checkpoint").exists()


def test_a_phantom_is_imported_once_and_replaced_when_told(tmp_path: Path) -> None:
    assert "20 patients" in sss("import", "phantom", tmp_path / "data").stdout
    first = (tmp_path / "data/dataset.json").read_bytes()
    again = sss("import", "phantom", tmp_path / "data")
    assert again.returncode == 2
    assert "--replace" in again.stderr
    assert sss("import", "phantom", tmp_path / "data", "--replace").returncode == 0
    assert (tmp_path / "data/dataset.json").read_bytes() == first


def test_prediction_names_the_mask_it_wrote(tmp_path: Path, checkpoint: Path, phantom: Path) -> None:
    scan = next((phantom / "imagesTs").iterdir())
    done = sss("predict", checkpoint, scan, tmp_path / "mask.nii.gz")
    assert done.stdout.splitlines()[-1].endswith(f": {tmp_path / 'mask.nii.gz'}")
    assert (tmp_path / "mask.nii.gz").is_file()


PROGRAM = """
from pathlib import Path
from sss_ops.command_line import run_command
from sss_model.errors import InputError

def command(what: str) -> None:
    if what == "input":
        raise InputError("scan.nii: 4 axes; expected 3")
    if what == "full":
        Path("/dev/full").write_text("x")
    if what == "wrapped":
        try:
            Path("/dev/full").write_text("x")
        except OSError as error:
            raise RuntimeError("could not save") from error
    if what == "bug":
        raise ValueError("a bug")
    print("done")

run_command(command)
"""


def run(what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, what], capture_output=True, text=True)


def test_a_command_that_ends_well_exits_with_0() -> None:
    assert (run("well").returncode, run("well").stdout) == (0, "done\n")


def test_unusable_input_is_its_sentence_and_exit_code_2() -> None:
    done = run("input")
    assert (done.returncode, done.stderr) == (2, "error: scan.nii: 4 axes; expected 3\n")


def test_a_full_disk_is_a_sentence_even_where_a_library_wrapped_it() -> None:
    for what in ("full", "wrapped"):
        done = run(what)
        assert done.returncode == 2
        assert done.stderr.startswith("error: the disk is full")
        assert done.stderr.count("\n") == 1


def test_a_bug_keeps_its_plain_traceback() -> None:
    done = run("bug")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: a bug\n")


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


@pytest.fixture
def folder(tmp_path, checkpoint, phantom, manifest) -> Path:
    shutil.copytree(checkpoint, tmp_path / "checkpoint")
    write_manifest(manifest, tmp_path / "manifest.csv")
    evaluate_in(tmp_path, data=phantom)
    return tmp_path


def audit(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sss_ops.audit", str(folder)], capture_output=True, text=True, check=False
    )


def test_a_whole_run_ends_well_and_a_forged_one_with_a_sentence_for_each_finding(folder):
    whole = audit(folder)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "nothing contradicts the record" in whole.stdout
    assert "saw as labelled" in whole.stdout
    (folder / "evaluation/report.html").write_text("all is well")
    next((folder / "predictions").iterdir()).unlink()
    forged = audit(folder)
    assert forged.returncode == 2
    assert [line.split(":")[0] for line in forged.stderr.splitlines()] == ["error", "error"]
    assert "nothing contradicts" not in forged.stdout


def test_a_folder_without_an_evaluation_ends_with_one_sentence(tmp_path):
    found = audit(tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith("error: ")
    assert len(found.stderr.splitlines()) == 1
