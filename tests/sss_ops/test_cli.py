"""The command line: every command explains itself, and errors are one sentence."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
import yaml

from sss_ops.cli import app

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
