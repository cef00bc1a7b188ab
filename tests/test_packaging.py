"""What a fresh clone installs: the locks, the wheel and the verbs."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.code_graph import ROOT, files_behind, imports_of

from sss_ops.serving.package import REQUIREMENTS

LOCKS = sorted(ROOT.glob("requirements*.txt"))
PACKAGES = ("sss_model", "components")
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
    groups = PROJECT["dependency-groups"]
    wanted = [Requirement(text) for text in PROJECT["project"]["dependencies"] + groups["build"] + groups["dev"]]
    assert {canonicalize_name(want.name) for want in wanted} <= set(locked)
    for want in wanted:
        (pin,) = locked[canonicalize_name(want.name)]
        assert pin.version in want.specifier
    assert "sam2" in locked
    assert not {"sam2", "torchvision"} & {want.name for want in wanted}


def test_every_import_is_a_declared_dependency() -> None:
    declared = {Requirement(text).name for text in PROJECT["project"]["dependencies"]} | {"sam2"}
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert distributions_behind(files) <= declared


def test_a_server_of_the_model_is_told_to_install_what_prediction_imports() -> None:
    imported = distributions_behind(files_behind(ROOT / "sss_ops/serving/served_model.py"))
    assert imported <= set(REQUIREMENTS)


def test_this_environment_is_what_the_locks_say() -> None:
    cuda = ROOT / "requirements-cuda.txt"
    asked = [pin for lock in LOCKS if lock != cuda for pin in pins(lock) if not pin.marker or pin.marker.evaluate()]
    differ = {pin.name: version(pin.name) for pin in asked if version(pin.name).split("+")[0] not in _release(pin)}
    assert differ == {}


def test_the_wheel_holds_the_packages_with_their_templates_and_the_console_script(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / file, source / file)
    endings = (".py", ".html", ".yaml", ".md")
    files = [
        path.relative_to(source).as_posix()
        for package in PACKAGES
        for path in (source / package).rglob("*")
        if path.suffix in endings
    ]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        scripts = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert set(files) == {name for name in names if ".dist-info/" not in name}
    assert "sss = sss_ops.cli:main" in scripts


def test_make_alone_lists_every_verb() -> None:
    shown = subprocess.check_output(["make", "--no-print-directory"], cwd=ROOT, text=True)
    phony = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert phony
    for verb in phony[1].split():
        assert re.search(rf"make {verb}\s+\w", shown)


def test_the_heads_of_the_locks_name_files_that_are_there() -> None:
    head = (ROOT / "requirements.txt").read_text().split("\naiobotocore")[0]
    assert set(re.findall(r"requirements[a-z0-9-]*\.txt", head)) == {path.name for path in LOCKS} - {
        "requirements-dev.txt"
    }


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
    tops = {name.split(".")[0] for file in files for name in imports_of(file)}
    others = tops - sys.stdlib_module_names - set(PACKAGES)
    installed = packages_distributions()
    # mlflow comes in three parts under one module.
    owners = {top: {name.lower() for name in installed[top]} for top in others}
    return {canonicalize_name(top if top in names else min(names)) for top, names in owners.items()}


def _release(pin: Requirement) -> set[str]:
    return {specifier.version.split("+")[0] for specifier in pin.specifier}
