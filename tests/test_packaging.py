"""What a fresh clone installs and holds: locks, wheel, verbs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import code_graph
from support.code_graph import files_behind, imports_of
from support.paths import ROOT

from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume
from sss_ops.serving.package import REQUIREMENTS

LOCKS = [ROOT / "requirements.txt", *sorted(ROOT.glob("requirements/*.txt"))]
PACKAGES = ("sss_model", "sss_ops")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(lock: Path) -> list[Requirement]:
    text = lock.read_text().replace("\\\n", " ")
    lines = [line.split(" --hash")[0] for line in text.splitlines() if not line.startswith("#")]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_every_package_by_version_and_hash_and_nothing_else(lock: Path) -> None:
    text = lock.read_text()
    body = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    entry = r"[a-z0-9][a-z0-9._-]*==\S+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(f"({entry})+", body)
    assert not re.search(r"://|--index|--find|file:|/(home|root|opt|tmp|usr|work)/", text)


def test_the_locks_answer_every_dependency_of_the_project_but_sam2() -> None:
    locked = {canonicalize_name(pin.name): pin.specifier for lock in LOCKS for pin in pins(lock)}
    wanted = [*declared("ops", "kubeflow", "dev"), *map(Requirement, PROJECT["dependency-groups"]["build"])]
    assert {canonicalize_name(want.name) for want in wanted} <= set(locked)
    for want in wanted:
        (pin,) = locked[canonicalize_name(want.name)]
        assert pin.version in want.specifier
    assert "sam2" in locked
    assert not {"sam2", "torchvision"} & {want.name for want in wanted}


@pytest.mark.parametrize(
    "package, extras",
    [
        ("sss_model", ()),
        ("sss_ops", ("ops",)),
        ("components", ("ops", "kubeflow")),
        ("pipelines", ("ops", "kubeflow")),
    ],
)
def test_every_import_is_a_declared_dependency(package: str, extras: tuple[str, ...]) -> None:
    names = {want.name for want in declared(*extras)} | {"sam2"}
    assert distributions_behind((ROOT / package).rglob("*.py")) <= names


def test_the_library_alone_brings_no_mlops_tool() -> None:
    tools = {"boto3", "dvc", "great-expectations", "kfp", "kubernetes", "mlflow", "typer"}
    assert not tools & closure([want.name for want in declared()])


def declared(*extras: str) -> list[Requirement]:
    """What the project asks for, by itself and by these extras; not what an extra takes from another."""
    optional = PROJECT["project"]["optional-dependencies"]
    texts = PROJECT["project"]["dependencies"] + [text for extra in extras for text in optional[extra]]
    return [want for want in map(Requirement, texts) if want.name != "sss-medical"]


def closure(names: Iterable[str]) -> set[str]:
    """These distributions and all that they need on this machine, as installed here."""
    found: set[str] = set()
    pending = [Requirement(name) for name in names]
    while pending:
        want = pending.pop()
        name = canonicalize_name(want.name)
        if name in found:
            continue
        found.add(name)
        needs = map(Requirement, distribution(name).requires or [])
        pending += [need for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return found


def test_a_server_of_the_model_is_told_to_install_what_prediction_imports() -> None:
    imported = distributions_behind(files_behind(ROOT / "sss_ops/serving/pyfunc.py"))
    assert imported <= set(REQUIREMENTS)


def test_this_environment_is_what_the_locks_say() -> None:
    cuda = ROOT / "requirements/cuda.txt"
    asked = [pin for lock in LOCKS if lock != cuda for pin in pins(lock) if not pin.marker or pin.marker.evaluate()]
    differ = {pin.name: version(pin.name) for pin in asked if version(pin.name).split("+")[0] not in _release(pin)}
    assert differ == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    source = tmp_path_factory.mktemp("wheel") / "source"
    for package in (*PACKAGES, "components"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / file, source / file)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(source.parent), str(source)], check=True)
    (made,) = source.parent.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def library(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment as `pip install` of the wheel makes it, without extras, and sam2 after it.

    The packages that the wheel asks for, and those that they ask for, are links to the ones that are installed here.
    """
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in closure([want.name for want in declared()]) | {"sam2"}:
        found = distribution(name)
        for top in {path.parts[0] for path in found.files or []} - {"..", "__pycache__"}:
            if not (site_packages / top).exists():
                (site_packages / top).symlink_to(found.locate_file(top))
    return python


def test_the_wheel_holds_two_packages_with_their_templates_and_the_console_script(wheel: Path) -> None:
    endings = (".py", ".html", ".yaml", ".md")
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in endings
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        scripts = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert files == {name for name in names if ".dist-info/" not in name}
    assert "sss = sss_ops.__main__:main" in scripts


def test_the_library_alone_predicts_a_scan(library: Path, checkpoint: Path, phantom: Path, tmp_path: Path) -> None:
    scan = next((phantom / "imagesTs").iterdir())
    program = f"""
import sys
from pathlib import Path

from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import read_volume, write_volume

predictor = Predictor.load(Path({str(checkpoint)!r}))
write_volume(predictor(read_volume(Path({str(scan)!r}))), Path("mask.nii.gz"))
print(sorted({{"boto3", "dvc", "great_expectations", "kfp", "mlflow", "sss_ops", "typer"}} & sys.modules.keys()))
"""
    said = run_alone(library, "-c", program, folder=tmp_path)
    assert (said.returncode, said.stdout) == (0, "[]\n"), said.stderr
    expected = Predictor.load(checkpoint)(read_volume(scan))
    assert np.array_equal(read_volume(tmp_path / "mask.nii.gz").array, expected.array)


def test_the_command_line_without_its_packages_says_what_to_install(library: Path, tmp_path: Path) -> None:
    said = run_alone(library, str(library.with_name("sss")), "--help", folder=tmp_path)
    assert (said.returncode, said.stdout) == (2, "")
    assert re.fullmatch(
        r"error: typer is not installed; expected .*`pip install 'sss-medical\[ops\]'`.*\n", said.stderr
    )


def run_alone(python: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run that Python away from the repository and from what the tests' environment says."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_make_alone_lists_every_verb() -> None:
    shown = subprocess.check_output(["make", "--no-print-directory"], cwd=ROOT, text=True)
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert phony
    for verb in phony[1].split():
        assert re.search(rf"make {verb}\s+\w", shown)


def test_the_heads_of_the_locks_name_files_that_are_there() -> None:
    head = (ROOT / "requirements.txt").read_text().split("\naiobotocore")[0]
    named = set(re.findall(r"requirements(?:/[a-z0-9-]+)?\.txt", head))
    assert named == {path.relative_to(ROOT).as_posix() for path in LOCKS} - {"requirements/dev.txt"}


def test_continuous_integration_runs_check_and_test_and_tells_where_acdc_is(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    (clone / ".ci").mkdir(parents=True)
    for name in ("run", "with-docker"):
        shutil.copy(ROOT / ".ci" / name, clone / ".ci" / name)
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin/make"
    stand_in.write_text('#!/bin/sh\necho "$@ ${ACDC_DIR-none}"\n')
    # An engine that answers whatever it is asked, and an installer that installs nothing.
    for name in ("docker", "apt-get"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    run = ["bash", str(clone / ".ci/run")]
    assert subprocess.check_output(run, env=environment, text=True) == "check none\ntest none\nimage-test none\n"
    acdc = tmp_path / "shared/data/ACDC"
    acdc.mkdir(parents=True)
    assert subprocess.check_output(run, env=environment, text=True) == f"check {acdc}\ntest {acdc}\nimage-test {acdc}\n"


def test_the_citation_names_the_paper() -> None:
    paper = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]
    assert "2506.08949" in paper["url"]
    assert len(paper["authors"]) == 8


def distributions_behind(files: Iterable[Path]) -> set[str]:
    """The other projects whose modules these files import."""
    tops = {name.split(".")[0] for file in files for name in imports_of(file, for_types=False)}
    others = tops - sys.stdlib_module_names - set(code_graph.PACKAGES)
    installed = packages_distributions()
    # mlflow comes in three parts under one module.
    owners = {top: {name.lower() for name in installed[top]} for top in others}
    return {canonicalize_name(top if top in names else min(names)) for top, names in owners.items()}


def _release(pin: Requirement) -> set[str]:
    return {specifier.version.split("+")[0] for specifier in pin.specifier}


@pytest.mark.acceptance
def test_make_run_in_a_fresh_clone_ends_with_a_good_registered_model(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # Nor a word from a `make` that runs this test, which would have the one in the clone print its directories.
    kept_out = ("VIRTUAL_ENV", "MLFLOW_TRACKING_URI", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    environment = {key: value for key, value in os.environ.items() if key not in kept_out}
    done = subprocess.run(["make", "run"], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report, model, how = done.stdout.splitlines()[-3:]
    assert (clone / report.split()[-1]).is_file()
    assert re.fullmatch(r"model: +sss-phantom version 1", model)
    assert "mlflow ui" in how
    assert json.loads((clone / "metrics.json").read_text())["dice"] >= 0.80
    assert "note:" not in done.stdout, "the phantom made here is not the one that data.dvc names"
    again = subprocess.run(["make", "run"], cwd=clone, env=environment, capture_output=True, text=True, check=True)
    assert "Running stage" not in again.stdout
