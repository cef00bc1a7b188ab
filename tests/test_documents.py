"""The Markdown pages, the examples in docstrings, and the benches."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.code_graph import modules
from support.paths import ROOT

from bench.ablation import LADDER
from bench.step import ROUND
from docs.reference.pages import PAGES
from sss_model.config import load_config
from sss_ops.cli import app
from sss_ops.experiments.cells import by_method

_TRACKED = subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).splitlines()
DOCUMENTS = [name for name in _TRACKED if not name.startswith("sss_ops/")]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_TARGET = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|[ (|;&])((?:sss|make|python -m) [^|;&]*)")


def _prose(name: str) -> str:
    return _FENCE.sub("", (ROOT / name).read_text())


def _anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", path.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings_that_are_there(name: str) -> None:
    lost = []
    for target in _TARGET.findall(_prose(name)):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            lost.append(target)
    assert lost == []


def test_every_page_is_in_the_index() -> None:
    index = {(ROOT / "docs" / target).resolve() for target in _TARGET.findall(_prose("docs/README.md"))}
    pages = {ROOT / name for name in DOCUMENTS if name.startswith("docs/") and name != "docs/README.md"}
    assert pages - index == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_exist_with_their_options(name: str) -> None:
    unknown = [f"{line}: {fault}" for line in _commands(name) if (fault := _fault(line))]
    assert unknown == []


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_its_generator_writes(name: str) -> None:
    assert (ROOT / "docs/reference" / name).read_text() == PAGES[name](), "run python -m docs.reference"


def test_the_pages_name_no_place_outside_of_the_repository() -> None:
    named = [name for name in DOCUMENTS if re.search(r"\.\./shared|/home/|/root/|/work/", (ROOT / name).read_text())]
    assert named == []


def test_contributing_names_classes_and_constants_that_are_there() -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z_]+)`", _prose("CONTRIBUTING.md"))) - {"ACDC_DIR"}
    code = "\n".join(file.read_text() for room in ("sss_model", "sss_ops") for file in (ROOT / room).rglob("*.py"))
    assert named
    assert [name for name in named if not re.search(rf"^(?:class )?{name}\b.*[:=]", code, flags=re.MULTILINE)] == []


def _commands(name: str) -> Iterator[str]:
    """What the page tells its reader to type: lines of its blocks, and code that begins with a command."""
    text = (ROOT / name).read_text()
    for _, language, block in _FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
        if language in ("console", "sh", "bash"):
            for line in typed:
                yield from _COMMAND.findall(line.split("  #")[0])
    yield from (code for code in re.findall(r"`([^`\n]+)`", _prose(name)) if _COMMAND.match(code))


def _fault(line: str) -> str:
    words = [word for word in shlex.split(line.replace("…", " ").replace("'", "")) if word]
    if words[0] == "make":
        verbs = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        return "" if len(words) < 2 or words[1] in verbs else f"no verb {words[1]}"
    if words[0] == "sss":
        return _option_fault(typer.main.get_command(app), words[1:])
    module, *rest = words[2:]
    if not importlib.util.find_spec(module):
        return f"no module {module}"
    if module.startswith("bench."):
        bench = typer.Typer()
        bench.command()(importlib.import_module(module).command)
        return _option_fault(typer.main.get_command(bench), rest)
    return ""


def _option_fault(command: Any, words: list[str]) -> str:
    while hasattr(command, "commands") and words and re.match("[a-z]", words[0]):
        if words[0] not in command.commands:
            return f"no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in getattr(command, "params", []) for option in parameter.opts} | {"--help"}
    return " ".join(word for word in words if word.startswith("--") and word.split("=")[0] not in known)


EXAMPLE = re.compile(r"^ *>>> (?!.*\+SKIP)", re.MULTILINE)
WITH_EXAMPLES = [name for name, file in modules().items() if EXAMPLE.search(file.read_text())]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module_hold(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0, capsys.readouterr().out


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
